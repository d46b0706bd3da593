"""One month: simulated, scanned, and scored by the naive baselines too; what came of it is kept as one file.

Pieces are `calibration`; `cover-0.5` and other shares of cover traffic; `metadata-0.5`, the same month read without
texts; `data-0.5`, one with real prompts and arrivals of a folder.
"""

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import baselines
import pyarrow.parquet as pq

import potstill.guard
from potstill.errors import PotstillError
from potstill.guard import Intake, Pseudonyms, open_events
from potstill.guard.cases.case import CASES, read_cases
from potstill.guard.cases.findings import How
from potstill.guard.cases.scan import scan
from potstill.guard.simulate import Campaign, Options, simulate
from potstill.guard.simulate.families import FAMILIES
from potstill.progress import Terminal

KEY = b"a key of the benchmark"
# The rules were made on months of the seeds 5, 11, 23, 31, 41, 47, 53, 61 and 67; nobody had seen these two before the
# rules stood. Who changes the rules after a look at them takes other seeds.
MONTH = Options(seed=2_027, days=30, benign=3_000, scale=0.01)
CALIBRATION = replace(MONTH, seed=2_028)  # other customers, and no campaign: thresholds come from here
PERMUTATIONS = How().permutations
WANTED = (
    "a folder of prompts (.jsonl, .jsonl.gz, .csv, .txt; such as Arena-Hard, Self-Instruct, GSM8K, IFEval and "
    "BANKING77, from their repositories on GitHub), and in its folder azure_llm_trace the Azure LLM inference traces "
    "of 2023 (github.com/Azure/AzurePublicDataset)"
)
COVERS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of an account, and what was found."""

    account: str
    label: str
    kind: str
    group: str
    events: int
    attack_events: int
    cases: list[dict[str, Any]]  # those it is in: outcome, q_value, p_value, families, explained_by, action
    scores: dict[str, float]  # of the baselines


def options_of(name: str) -> Options:
    """The options of a piece."""
    if name == "calibration":
        return CALIBRATION
    kind, _, cover = name.partition("-")
    month = replace(MONTH, campaigns=tuple(Campaign(family.name, float(cover)) for family in FAMILIES))
    if kind != "data":
        return month
    if not (folder := os.environ.get("GUARD_DATA")):
        raise PotstillError(f"{name} needs GUARD_DATA=DIR: {WANTED}")
    return replace(month, prompts=Path(folder), arrivals=Path(folder, "azure_llm_trace"))


def detectors() -> str:
    """What the code of evidence and cases is, in 16 digits."""
    folder = Path(str(potstill.guard.__file__)).parent
    digest = sha256()
    for one in sorted([*(folder / "evidence").glob("*"), *(folder / "cases").glob("*.py")]):
        if one.is_file():
            digest.update(one.read_bytes())
    return digest.hexdigest()[:16]


def measured(name: str, results: Path, permutations: int = PERMUTATIONS) -> dict[str, Any]:
    """What came of a piece; it is run where its file is not there yet."""
    path = results / f"{name}.json"
    if not path.exists():
        intake = Intake(KEY, processes=2, metadata_only=name.startswith("metadata"))
        made = _run(options_of(name), intake, results / f"{name}.work", permutations)
        path.write_text(json.dumps(made), encoding="utf-8")
        shutil.rmtree(results / f"{name}.work")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _run(options: Options, intake: Intake, work: Path, permutations: int) -> dict[str, Any]:
    """Simulate and scan in this folder; a call that was killed goes on from what it left there."""
    log, found, made, done = work / "log", work / "scan", work / "simulated.json", work / "scanned.json"
    begun = time.perf_counter()
    if not made.exists():
        simulated = simulate(options, log)
        made.write_text(json.dumps({"events": simulated.events, "simulate_s": time.perf_counter() - begun}))
    if not done.exists():
        begun = time.perf_counter()
        scan([log / "logs"], found, intake, How(permutations=permutations), Terminal())
        done.write_text(json.dumps({"scan_s": time.perf_counter() - begun, "detectors": detectors()}))
    found_cases, about = read_cases(found / CASES)
    cases = [
        {
            "outcome": one.outcome, "q_value": one.q_value, "p_value": one.p_value, "action": one.action,
            "families": len(one.evidence), "explained_by": one.explained_by, "accounts": list(one.accounts),
            "id": one.id,
        }
        for one in found_cases
    ]  # fmt: skip
    with open_events(found / "events").connection() as connection:
        tried = {} if intake.metadata_only else baselines.BASELINES  # which are compared where there are texts
        scores = {kind: score(connection) for kind, score in tried.items()}
    rows = _accounts(pq.read_table(log / "truth.parquet").to_pylist(), cases, scores)
    return {
        **json.loads(made.read_text()), **json.loads(done.read_text()), "about": about,
        "accounts": [asdict(one) for one in rows],
    }  # fmt: skip


def _accounts(
    truth: list[dict[str, Any]], cases: list[dict[str, Any]], scores: dict[str, dict[str, float]]
) -> list[Account]:
    names, of = Pseudonyms(KEY), {}
    for case in cases:
        for account in case["accounts"]:
            short = {key: value for key, value in case.items() if key != "accounts"} | {"size": len(case["accounts"])}
            of.setdefault(account, []).append(short)
    found = []
    for row in truth:
        name = names.of("account", row["account"])
        found.append(
            Account(
                name, row["label"], row["kind"], row["group"], row["events"], row["attack_events"], of.get(name, []),
                {kind: score.get(name, 0.0) for kind, score in scores.items()},
            )
        )  # fmt: skip
    return found
