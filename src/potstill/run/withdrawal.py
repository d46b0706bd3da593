"""Takes withdrawn rows out of a run folder that has had them: their answers, and all that was made with these."""

import shutil
from collections.abc import Collection
from pathlib import Path

from potstill.config import Recipe, SampledSignals, TopKSignals
from potstill.progress import Reporter
from potstill.run.record import note, reopen
from potstill.store.forgetting import foreign_rows, forget_rows, forget_scores
from potstill.store.pilot import PILOT
from potstill.store.prompts import StoredPrompts
from potstill.store.scores import GROWN, JUDGEMENTS, JUDGING, SCORES, read_prices

_AFTER = ("collect", "screen", "train", "evaluate", "export")
# What later stages leave: texts of the rows stand in some of it, and the student has learned from them.
_MADE = (
    "answers.parquet", "screening.parquet", "screening.json", "signals", "checkpoints", "student", "baselines",
    "metrics.jsonl", "evaluation.json", "per_prompt.parquet", "judge_pairs.jsonl", "report.html", "export", PILOT,
    "pilot.json",
)  # fmt: skip


def forget_others(
    recipe: Recipe, folder: Path, prompts: Collection[str], asked: Collection[str], reporter: Reporter
) -> None:
    """Delete what the folder has of prompts whose hashes are not among `prompts`, where it has anything.

    Not only of the withdrawn ones: under another system message a withdrawn text has another hash. `asked` are the
    hashes of the requests that wrote the grown prompts. The ledger says how many rows go before the first one does.
    Spending stays known. Raises PotstillError where a journal is in use or the disk refuses.
    """
    answers, judged, grown = folder / "answers.sqlite", folder / JUDGEMENTS, folder / GROWN / "answers.sqlite"
    rows = {
        "answers.sqlite": foreign_rows(answers, prompts), JUDGEMENTS: foreign_rows(judged, prompts),
        f"{GROWN}/answers.sqlite": foreign_rows(grown, asked),
        f"{PILOT}/answers.sqlite": foreign_rows(folder / PILOT / "answers.sqlite", prompts),
        **{f"{JUDGING}/{one.name}": foreign_rows(one, prompts) for one in sorted((folder / JUDGING).glob("*.sqlite"))},
    }  # fmt: skip
    table = folder / "prompts.parquet"
    had = {row["hash"] for row in StoredPrompts(table).rows("hash")} if table.is_file() else set()
    if not any(rows.values()) and had <= set(prompts):
        return
    kept = set(prompts)
    # Their distributions are recorded while a local teacher answers, in batches that are others now: all answer anew.
    recorded = recipe.teacher.model is not None and not recipe.more_teachers
    if recorded and isinstance(recipe.signals, SampledSignals | TopKSignals):
        kept = set()
        rows["answers.sqlite"] = foreign_rows(answers, kept)
    note(folder, "withdrawal", {"prompts": len(had - set(prompts)), "rows": rows})
    judging = recipe.evaluate.judge
    for path in sorted((folder / JUDGING).rglob("*.sqlite")):
        one = judging.named.get(path.stem) if judging is not None else None
        prices = one.endpoint.price_per_million if one is not None and one.endpoint is not None else None
        forget_rows(path, kept, prices)
    for stage in _AFTER:
        reopen(folder, stage, "rows were withdrawn")
    endpoint = recipe.teacher.endpoint
    if answers.is_file():
        forget_rows(answers, kept, endpoint.price_per_million if endpoint else None)
    if judged.is_file():
        forget_rows(judged, kept, recipe.judge_prices)
    if grown.is_file():
        forget_rows(grown, asked, read_prices(folder / GROWN))
        if not asked:
            (folder / GROWN / "answers.parquet").unlink(missing_ok=True)
    forget_scores(folder / SCORES)
    for name in _MADE:
        _remove(folder / name)
    for left in [*folder.glob("*.partial"), *folder.glob("*.part")]:
        _remove(left)
    reporter.say(
        f"prompts.withdrawn: {sum(rows.values()):,} rows of the journals are deleted, and all that was made with them"
    )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
