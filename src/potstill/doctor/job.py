"""One key of a log: what is counted while its exchanges are read, its parts, and the report that comes of them."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from potstill.doctor.columns import Columns
from potstill.doctor.findings import (
    BIT,
    DECIDING,
    REASONS,
    VERDICTS,
    Found,
    JobReport,
    Part,
    PersonalFound,
    Reason,
    ToolChange,
    Verdict,
    reasons_of,
    verdict_of,
)
from potstill.doctor.templates import OTHERS, SystemPrompts, Templates, group_beginnings, group_system_prompts
from potstill.doctor.tools import tool_changes
from potstill.texts.personal import KINDS, PersonalDatum, personal_data, without_personal_data
from potstill.texts.shingles import Shingles

_SLOTS_LOG2 = 16  # shingles are counted in a table of 65,536 slots, 256 KB a job
_TABLES = 1000  # jobs that have such a table
_TEMPLATE = 0.2  # share of a job's exchanges from which a shingle belongs to what they all say …
_FEW = 3  # … but never one that so few have
_SHARED = 0.01  # share of a job's exchanges, and …
_SHARED_LEAST = 20  # … number of them, from which a value is the firm's own and nobody's in particular
_BEGINNING = 60  # characters of a template that are shown
_MASKED = 3

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class JobPart:
    """Exchanges of a job that share a template, in the order of time."""

    beginning: str
    rows: Rows
    tools: tuple[ToolChange, ...]
    old_tools: Rows


@dataclass(slots=True)
class Job:
    """What the exchanges under one key add up to."""

    key: str | None
    number: int
    exchanges: int = 0
    systems: SystemPrompts = field(default_factory=SystemPrompts)
    models: Counter[str] = field(default_factory=Counter)
    asked_in: Counter[str] = field(default_factory=Counter)
    answered_in: Counter[str] = field(default_factory=Counter)
    varied: bool = False
    _holders: NDArray[np.uint32] | None = None
    _counted: int = 0
    _rows: "array[int]" = field(default_factory=lambda: array("q"))  # of each find of personal data
    _kinds: "array[int]" = field(default_factory=lambda: array("b"))
    _digests: "array[int]" = field(default_factory=lambda: array("Q"))
    _masked: dict[int, str] = field(default_factory=dict)  # of the first values

    def count_shingles(self, found: Shingles) -> None:
        """Count in how many exchanges a piece of text stands."""
        if self._holders is None and self.number < _TABLES:
            self._holders = np.zeros(1 << _SLOTS_LOG2, np.uint32)
        if self._holders is not None:
            self._holders[np.unique(_slots(found))] += 1
            self._counted += 1

    def own(self, found: Shingles) -> Shingles:
        """The shingles without those of a template that the job's exchanges share."""
        if self._holders is None:
            return found
        return found[self._holders[_slots(found)] <= max(_FEW, _TEMPLATE * self._counted)]

    def add_personal(self, row: int, kind: int, datum: PersonalDatum) -> None:
        """Keep that an exchange has a datum of this kind."""
        self._rows.append(row)
        self._kinds.append(kind)
        self._digests.append(datum.digest)
        if len(self._masked) < 10_000:
            self._masked.setdefault(datum.digest, datum.masked)

    def _shared(self) -> NDArray[np.bool_]:
        """Of each find, whether its value stands in so many exchanges that it is nobody's in particular."""
        values, inverse = np.unique(np.asarray(self._digests, np.uint64), return_inverse=True)
        pairs = np.unique(np.stack([inverse, np.asarray(self._rows, np.int64)]), axis=1)
        holders = np.bincount(pairs[0], minlength=len(values))
        shared: NDArray[np.bool_] = holders[inverse] > max(_SHARED_LEAST, _SHARED * self.exchanges)
        return shared

    def personal_rows(self) -> Rows:
        """The exchanges with personal data in them."""
        return np.unique(np.asarray(self._rows, np.int64)[~self._shared()]) if self._rows else np.zeros(0, np.int64)

    def personal(self, columns: Columns) -> tuple[dict[str, PersonalFound], dict[str, Found]]:
        """Personal data by kind, and by kind the values that are the firm's own, also those of system prompts."""
        found: dict[str, PersonalFound] = {}
        contacts: dict[str, Found] = {}
        shared = self._shared() if self._rows else np.zeros(0, bool)
        rows, kinds = np.asarray(self._rows, np.int64), np.asarray(self._kinds, np.int64)
        for number, kind in enumerate(KINDS):
            mine = np.flatnonzero((kinds == number) & ~shared)
            if len(mine):
                masked = dict.fromkeys(self._masked.get(self._digests[at], "") for at in mine[: 10 * _MASKED])
                some = tuple(one for one in masked if one)[:_MASKED]
                holding = np.unique(rows[mine])
                found[kind] = PersonalFound(len(holding), columns.places(holding), some)
            many = np.unique(rows[(kinds == number) & shared])
            if len(many):
                contacts[kind] = Found(len(many), columns.places(many))
        for text, uses in zip(self.systems.texts, self.systems.exchanges, strict=True):
            for kind in {datum.kind for datum in personal_data(text)}:
                name = f"{kind} in the system prompt"
                contacts[name] = Found(contacts[name].count + uses if name in contacts else uses, ())
        return found, contacts

    def parts(
        self, columns: Columns, rows: Rows, toolsets: Sequence[Mapping[str, str]], beginnings: Mapping[int, str]
    ) -> list[JobPart]:
        """The job's exchanges, which `rows` are, by template, the largest part first."""
        times = np.asarray(columns.time_s)[rows]
        if not np.isnan(times).any():
            rows = rows[np.argsort(times, kind="stable")]
        found: list[tuple[str, Rows]] = []
        others: list[Rows] = []
        for label, some in self._by_system(columns, rows):
            if label is None:
                others.append(some)
                continue
            words = np.asarray(columns.words, np.uint64)[some]
            numbers = group_beginnings(words, beginnings)
            if not numbers:
                found.append((label, some))
                continue
            digests = np.asarray(list(numbers), np.uint64)
            for number in dict.fromkeys(numbers.values()):
                mine = [word for word, its in numbers.items() if its == number]
                name = beginnings.get(mine[0], f"beginning {number + 1}")
                found.append((name, some[np.isin(words, np.asarray(mine, np.uint64))]))
            others.append(some[~np.isin(words, digests)])
        rest = np.sort(np.concatenate(others)) if others else rows[:0]
        if len(rest):
            found.append(("others", rest))
        made = [JobPart(_shown(label), some, *tool_changes(columns, some, toolsets)) for label, some in found]
        return sorted(made, key=lambda part: -len(part.rows))

    def _by_system(self, columns: Columns, rows: Rows) -> list[tuple[str | None, Rows]]:
        """Exchanges by the template of their system prompt; None for those like no other."""
        numbers = np.asarray(columns.system, np.int64)[rows]
        bare = rows[numbers == -2]
        found: list[tuple[str | None, Rows]] = [("no system prompt", bare)] if len(bare) else []
        if not self.systems.texts:
            return found
        templates: Templates = group_system_prompts(self.systems.texts, self.systems.exchanges)
        self.varied = templates.varied
        of = np.asarray([*templates.of, OTHERS], np.int64)  # the last for number OTHERS, which is -1
        having = rows[numbers != -2]
        template = of[numbers[numbers != -2]]
        for number, first in enumerate(templates.first):
            found.append((self.systems.texts[first], having[template == number]))
        found.append((None, having[template == OTHERS]))
        return found


def job_report(job: Job, parts: Sequence[JobPart], columns: Columns, flags: NDArray[np.int32]) -> JobReport:
    """The report on one key."""
    rows = np.concatenate([part.rows for part in parts])
    times = np.asarray(columns.time_s)[rows]
    known = times[~np.isnan(times)]
    personal, contacts = job.personal(columns)
    return JobReport(
        key=None if job.key is None else without_personal_data(job.key),
        exchanges=job.exchanges,
        first_s=float(known.min()) if len(known) else None,
        last_s=float(known.max()) if len(known) else None,
        models=dict(job.models.most_common()),
        parts=tuple(_part(part, columns, flags) for part in parts),
        varied=job.varied,
        asked_in=dict(job.asked_in.most_common()),
        answered_in=dict(job.answered_in.most_common()),
        personal=personal,
        contacts=contacts,
    )


def _part(part: JobPart, columns: Columns, flags: NDArray[np.int32]) -> Part:
    rows = np.sort(part.rows)
    mine = flags[rows]
    values, counts = np.unique(mine, return_counts=True)
    verdicts = dict.fromkeys(VERDICTS, 0)
    because: dict[Verdict, dict[Reason, int]] = {verdict: {} for verdict in VERDICTS}
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        verdict = verdict_of(value)
        verdicts[verdict] += count
        for reason in reasons_of(value):
            if reason in DECIDING[verdict]:
                because[verdict][reason] = because[verdict].get(reason, 0) + count
    reasons = {}
    for reason in REASONS:
        having = rows[(mine & BIT[reason]) != 0]
        if len(having):
            reasons[reason] = Found(len(having), columns.places(having))
    return Part(part.beginning, len(rows), columns.place(int(rows[0])), reasons, verdicts, because, part.tools)


def _shown(text: str) -> str:
    plain = without_personal_data(" ".join(text.split())[: 4 * _BEGINNING])
    return plain if len(plain) <= _BEGINNING else plain[: _BEGINNING - 1] + "…"


def _slots(found: Shingles) -> Shingles:
    return found >> np.uint64(64 - _SLOTS_LOG2)
