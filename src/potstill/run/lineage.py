"""From a row to the students that learned from it and back, over one run or many, with the ledger as the witness."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from potstill import ledger
from potstill.errors import PotstillError, RecipeError
from potstill.prompts.withdrawn import names_of
from potstill.run.folder import is_run
from potstill.run.following import Following, ModelTrace, PromptTrace, growth_of, prompt_rows, withdrawn_prompts
from potstill.run.verify import verify
from potstill.store.screening import SCREENING
from potstill.store.traces import prompts_beginning_with, traces_of_requests

Kind = Literal["prompt", "source", "request"]
_READ = ("prompts.parquet", "answers.sqlite", SCREENING)
_SHORT = 12  # digits of a hash that lines for people show
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Lineage:
    """What one run did with the rows that were asked for. `problems`: what of the files read is not as recorded."""

    run: str
    ledger_head: str
    prompts: tuple[PromptTrace, ...]
    models: tuple[ModelTrace, ...]
    problems: tuple[str, ...]

    @property
    def affected(self) -> tuple[ModelTrace, ...]:
        """The models that learned from the rows, or may have."""
        return tuple(one for one in self.models if one.state != "did not learn from it")


def lineage(place: Path, kind: Kind, name: str) -> list[Lineage]:
    """Follow a row through the run in `place`, or through every run in that folder.

    `name` is a prompt's or request's hash, or a beginning of it that is unique, or a source: a file, or a place in it.
    Prompts that a model wrote after being shown the row are followed too. Raises RecipeError where there is no run or a
    name means nothing or several hashes, PotstillError where a ledger is damaged.
    """
    folders = _runs(place)
    requests: set[str] | None = None
    if kind == "source":
        hashes = {row["hash"] for folder in folders for row in prompt_rows(folder) if name in names_of(row["source"])}
        if not hashes:
            raise RecipeError(f"--source {name}: no prompt of {place} comes from there")
    elif kind == "prompt":
        found = {one for folder in folders for one in _prompts_beginning(folder, name.lower())}
        hashes = {_only(found, name.lower(), kind)}
    else:
        asked: dict[str, set[str]] = {}
        for folder in folders:
            for key, prompts in _requests_beginning(folder, name.lower()).items():
                asked.setdefault(key, set()).update(prompts)
        requests = {_only(asked, name.lower(), kind)}
        hashes = {one for key in requests for one in asked.get(key, ())}
    return [_follow(folder, hashes, requests) for folder in folders]


def lines(found: Lineage) -> Iterator[str]:
    """One run's lineage for people."""
    yield f"{found.run}: ledger head {found.ledger_head}"
    for prompt in found.prompts:
        yield from _prompt_lines(prompt)
    for model in found.models:
        sha256 = f" (sha256 {model.sha256[:_SHORT]}…, line {model.ledger_line} of the ledger)" if model.sha256 else ""
        yield f"  {model.path}{sha256}: {model.state}{f', {model.why}' if model.why else ''}"
    if not found.models:
        yield "  no model: training has not finished"
    for problem in found.problems:
        yield f"  not as recorded: {problem}"


def _prompt_lines(prompt: PromptTrace) -> Iterator[str]:
    head = f"  prompt {prompt.hash}"
    if prompt.withdrawn_line is not None:
        yield f"{head}: withdrawn, line {prompt.withdrawn_line} of the ledger; it is not among the prompts"
    elif prompt.split is None:
        yield f"{head}: not among the prompts"
    else:
        yield f"{head}: {'to train on' if prompt.split == 'train' else 'held out'}, {prompt.source}"
    for words, hashes in (("written by a model that was shown", prompt.parents), ("grown from it", prompt.grown)):
        if hashes:
            yield f"    {words}: {', '.join(f'{one[:_SHORT]}…' for one in hashes)}"
    for one in prompt.answers:
        stored = f"; {', '.join((*one.signals, *one.exported))}" if one.signals or one.exported else ""
        yield f"    request {one.request}: {one.used}{f', {one.why}' if one.why else ''}{stored}"
    if not prompt.answers:
        yield "    the journal has no request for it"


def _runs(place: Path) -> list[Path]:
    if is_run(place):
        return [place]
    found = sorted(one for one in place.iterdir() if is_run(one)) if place.is_dir() else []
    if not found:
        raise RecipeError(f"{place}: neither a run folder nor a folder of them")
    return found


def _only(found: Collection[str], name: str, kind: Kind) -> str:
    """The one hash that is meant. A whole hash need not be known: that it is nowhere is an answer too."""
    if name in found or (not found and len(name) == 64):
        return name
    if len(found) == 1:
        return next(iter(found))
    if not found:
        raise RecipeError(f"--{kind} {name}: no {kind}'s hash begins so")
    some = ", ".join(f"{one[:16]}…" for one in sorted(found)[:_NAMED])
    raise RecipeError(f"--{kind} {name}: {len(found)} {kind}s begin so ({some}); give more digits")


def _prompts_beginning(folder: Path, prefix: str) -> set[str]:
    known = {row["hash"] for row in prompt_rows(folder)} | withdrawn_prompts(_entries(folder)).keys()
    return {one for one in known if one.startswith(prefix)} | prompts_beginning_with(folder / "answers.sqlite", prefix)


def _requests_beginning(folder: Path, prefix: str) -> dict[str, set[str]]:
    """The requests that begin so, with the prompts that they asked, or those that they had a model write."""
    found: dict[str, set[str]] = {}
    for one in traces_of_requests(folder / "answers.sqlite", prefix):
        found.setdefault(one.key, set()).add(one.prompt_hash)
    for row in prompt_rows(folder):
        request = growth_of(row).get("request", "")
        if request.startswith(prefix) and request:
            found.setdefault(request, set()).add(row["hash"])
    return found


def _follow(folder: Path, hashes: Collection[str], requests: Collection[str] | None) -> Lineage:
    entries, problems = _entries(folder), verify(folder, _READ)
    try:
        run = Following(folder, entries, hashes)
        prompts = run.prompts(hashes, requests)
    except PotstillError as error:
        raise PotstillError(problems[0] if problems else str(error)) from None
    holding = {name for prompt in prompts for one in prompt.answers for name in (*one.signals, *one.exported)}
    problems += verify(folder, holding) if holding and not problems else []
    head = entries[-1].hash if entries else ledger.NO_PREVIOUS
    return Lineage(str(folder), head, tuple(prompts), tuple(run.models(prompts)), tuple(problems))


def _entries(folder: Path) -> list[ledger.Entry]:
    return ledger.read(folder / "ledger.jsonl")
