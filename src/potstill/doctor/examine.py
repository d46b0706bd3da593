"""Reads a log twice, keeps numbers instead of texts, and concludes what each exchange is good for."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from potstill.doctor.columns import Columns
from potstill.doctor.facts import FactReader, Facts, compared_text, digest
from potstill.doctor.findings import BIT, Diagnosis, Found
from potstill.doctor.job import Job, JobPart, job_report
from potstill.doctor.repeats import mark_near, mark_repeats, mark_same_prompts
from potstill.errors import PotstillError
from potstill.exchanges import Exchange, Unreadable, find_form, log_files, read_exchanges
from potstill.exchanges.record import Form
from potstill.progress import Reporter, Silent
from potstill.texts.languages import identify
from potstill.texts.near_duplicates import signature
from potstill.texts.personal import KINDS, personal_data
from potstill.texts.shingles import Shingles, shingles

_PLACES = 3
_LEAST_SHINGLES = 8  # of its own, or a text says too little to be like another
_LANGUAGE_CHARACTERS = 400  # that a language is told from: more take longer and tell no more
_TOLD = 10_000  # exchanges between two words on how far it is


@dataclass(slots=True)
class Examination:
    """A log examined: the report, and the reasons against each exchange in the order of reading."""

    diagnosis: Diagnosis
    columns: Columns
    flags: NDArray[np.int32]
    names: Sequence[str | None]  # of the jobs, or of their parts where they are mixed, by the numbers in `named`
    named: NDArray[np.int32]  # of each exchange


@dataclass(slots=True)
class _Reading:
    """What the first reading keeps."""

    columns: Columns = field(default_factory=Columns)
    jobs: dict[str | None, Job] = field(default_factory=dict)
    toolsets: list[Mapping[str, str]] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    beginnings: dict[int, str] = field(default_factory=dict)
    unreadable: dict[str, list[str]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)


def examine(
    paths: Sequence[Path], form: Form | None = None, job_key: str | None = None, *, keep_personal: bool = False,
    reporter: Reporter | None = None,
) -> Examination:  # fmt: skip
    """Examine log files or folders. `keep_personal` counts personal data but leaves no exchange out for it.

    Memory grows by some 350 bytes an exchange, of which 256 are a file on disk; texts are not kept. Raises
    PotstillError where there is no log that is known, no exchange in it, or it changes while it is read.
    """
    files = log_files(paths)
    known = form or find_form(files)
    reading = _first_reading(paths, known, job_key, reporter or Silent())
    columns = reading.columns
    if not len(columns):
        first = next(iter(reading.unreadable.items()), None)
        why = f"; {first[1][0]}: {first[0]}" if first else ""
        raise PotstillError(f"{paths[0]}: no exchange in it{why}")
    flags = np.array(columns.flags, np.int32)
    jobs = list(reading.jobs.values())
    number = np.asarray(columns.job, np.int64)
    by_job = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    parts = [
        job.parts(columns, rows, reading.toolsets, reading.beginnings) for job, rows in zip(jobs, by_job, strict=True)
    ]
    for job, found in zip(jobs, parts, strict=True):
        for part in found:
            flags[part.old_tools] |= BIT["old_tools"]
        if not keep_personal:
            flags[job.personal_rows()] |= BIT["personal_data"]
    mark_repeats(columns, flags)
    _mark_near(paths, known, job_key, reading, flags)
    mark_same_prompts(columns, flags)
    order = sorted(range(len(jobs)), key=lambda at: -jobs[at].exchanges)
    reports = tuple(job_report(jobs[at], parts[at], columns, flags) for at in order)
    unreadable = {why: Found(reading.refused[why], tuple(places)) for why, places in reading.unreadable.items()}
    names = tuple(str(one) for one in files)
    diagnosis = Diagnosis(names, str(known), len(columns), unreadable, reports)
    return Examination(diagnosis, columns, flags, *_names(jobs, parts, len(columns)))


def _names(
    jobs: Sequence[Job], parts: Sequence[Sequence[JobPart]], exchanges: int
) -> tuple[list[str | None], NDArray[np.int32]]:
    names: list[str | None] = []
    named = np.zeros(exchanges, np.int32)
    for job, found in zip(jobs, parts, strict=True):
        for number, part in enumerate(found, 1):
            named[part.rows] = len(names)
            names.append(job.key if len(found) == 1 else f"{job.key or 'log'} [{number}]")
    return names, named


def _first_reading(paths: Sequence[Path], form: Form | None, job_key: str | None, reporter: Reporter) -> _Reading:
    reading, reader = _Reading(), FactReader()
    for found in read_exchanges(paths, form, job_key):
        if isinstance(found, Unreadable):
            reading.refused[found.reason] += 1
            places = reading.unreadable.setdefault(found.reason, [])
            if len(places) < _PLACES:
                places.append(found.place)
            continue
        _take(reading, found, reader.read(found))
        if len(reading.columns) % _TOLD == 0:
            reporter.say(f"{len(reading.columns):,} exchanges read")
    return reading


def _take(reading: _Reading, one: Exchange, facts: Facts) -> None:
    """Keep what one exchange adds to its job, and its row of numbers."""
    job = reading.jobs.setdefault(one.job, Job(one.job, len(reading.jobs)))
    row = len(reading.columns)
    system = job.systems.number(facts.system) if facts.system is not None else -2
    reading.columns.add(one, facts, job.number, system, _toolset(reading, facts.toolset))
    if len(reading.beginnings) < 100_000:
        reading.beginnings.setdefault(int(reading.columns.words[row]), facts.first_words)
    job.exchanges += 1
    job.models[one.model or "unknown"] += 1
    for datum in personal_data(facts.spoken):
        job.add_personal(row, KINDS.index(datum.kind), datum)
    job.asked_in[_language(facts.own)] += 1
    if one.answer:
        job.answered_in[_language(one.answer)] += 1
    if not facts.reasons:
        job.count_shingles(shingles(compared_text(one)))


def _toolset(reading: _Reading, toolset: Mapping[str, str]) -> int:
    if not toolset:
        return -1
    name = json.dumps(toolset, sort_keys=True)
    number = reading.numbers.setdefault(name, len(reading.toolsets))
    if number == len(reading.toolsets):
        reading.toolsets.append(toolset)
    return number


def _language(text: str) -> str:
    found = identify(text[:_LANGUAGE_CHARACTERS])
    return found.code if found is not None else "?"


def _mark_near(
    paths: Sequence[Path], form: Form | None, job_key: str | None, reading: _Reading, flags: NDArray[np.int32]
) -> None:
    """The second reading: signatures of the exchanges that are still usable, on disk, and who is near whom."""
    usable = np.flatnonzero(flags == 0)
    if len(usable) < 2:
        return
    jobs = list(reading.jobs.values())
    columns = reading.columns
    with tempfile.TemporaryFile() as file:
        file.truncate(len(usable) * 256)
        signatures = np.memmap(file, np.uint16, "r+", shape=(len(usable), 128))
        groups = np.zeros(len(usable), np.uint64)
        told = np.zeros(len(usable), bool)
        for at, found in _own_shingles(paths, form, job_key, usable, columns, jobs):
            told[at] = len(found) >= _LEAST_SHINGLES
            if told[at]:
                signatures[at] = signature(found).astype(np.uint16)
                row = int(usable[at])
                same_answer = columns.answer[row] if columns.short[row] else 0
                groups[at] = np.uint64(digest(f"{columns.job[row]} {same_answer}"))
        mark_near(usable[told], signatures[told], groups[told], flags)
        del signatures


def _own_shingles(
    paths: Sequence[Path], form: Form | None, job_key: str | None, usable: NDArray[np.int64], columns: Columns,
    jobs: Sequence[Job],
) -> Iterator[tuple[int, Shingles]]:  # fmt: skip
    """The place among `usable` and the shingles of each, without those that the job's template accounts for."""
    exchanges = (one for one in read_exchanges(paths, form, job_key) if isinstance(one, Exchange))
    at = 0
    for row, one in enumerate(islice(exchanges, len(columns))):
        if at < len(usable) and row == usable[at]:
            if one.place != columns.place(row):
                raise PotstillError(f"{one.place}: the log changed while it was read; give a copy of it")
            yield at, jobs[columns.job[row]].own(shingles(compared_text(one)))
            at += 1
    if at < len(usable):
        raise PotstillError(f"{paths[0]}: the log became shorter while it was read; give a copy of it")
