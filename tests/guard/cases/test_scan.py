"""Scans of whole logs: planted campaigns are cases, honest customers are none, and a kill costs nothing."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from guard import crowd
from guard.logs import KEY, jsonl
from potstill.errors import PotstillError
from potstill.guard import Intake, Pseudonyms
from potstill.guard.cases.case import CASES, Case, read_cases
from potstill.guard.cases.findings import How
from potstill.guard.cases.scan import Scanned, scan
from potstill.guard.cases.told import lines
from potstill.progress import Silent

NAMES = Pseudonyms(KEY)
QUICK = How(permutations=9_999)


def scanned(folder: Path, rows: list[dict[str, Any]], how: How = QUICK, **intake: Any) -> Scanned:
    folder.mkdir(exist_ok=True)
    return scan([jsonl(folder / "log.jsonl", rows)], folder / "out", Intake(KEY, **intake), how)


def named(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Pseudonym -> name."""
    return {NAMES.of("account", row["account"]): row["account"] for row in rows}


def alarmed(found: Scanned, rows: list[dict[str, Any]]) -> set[str]:
    """Names of the accounts in cases with evidence."""
    names = named(rows)
    return {names[one] for case in found.cases if case.outcome == "evidence" for one in case.accounts}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return crowd.rows()


@pytest.fixture(scope="module")
def everything(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Scanned, Path]:
    folder = tmp_path_factory.mktemp("everything")
    return scanned(folder, rows), folder / "out"


def the_case(found: Scanned) -> Case:
    (case,) = [one for one in found.cases if one.outcome == "evidence"]
    return case


def test_the_fleet_is_a_case_and_no_honest_customer_is(
    everything: tuple[Scanned, Path], rows: list[dict[str, Any]]
) -> None:
    assert alarmed(everything[0], rows) == {f"fleet-{number}" for number in range(9)}


def test_the_case_explains_itself(everything: tuple[Scanned, Path]) -> None:
    case = the_case(everything[0])
    families = {one.family: one for one in case.evidence}
    assert {"payment", "content", "timing"} <= set(families)
    assert families["content"].examples[0].startswith("solve problem number _ and write down the …")
    assert families["payment"].examples[0].endswith("3 customers")
    assert all(one.innocent and one.shows for one in case.evidence)
    assert case.exchanges == 9 * 55  # those that fill the template, and not the cover traffic
    assert case.exchanges_at_most == 9 * 110
    assert case.tokens is not None
    assert case.tokens_at_most is not None
    assert case.tokens < case.tokens_at_most
    assert "reasoning" in case.targets
    assert case.action in ("cap", "refuse")
    assert case.p_value >= case.smallest_p > 0
    told = " ".join(case.explanation)
    assert "p could not have been below" in told
    assert "conduct is rare in its own class (p at most 0.05) for" in told


def test_hard_negatives_are_quiet_and_a_class_comes_out_as_explained(tmp_path: Path) -> None:
    rows = crowd.rows(campaign=False)
    assert {name for name in crowd.HARD if any(row["account"].startswith(name) for row in rows)} == set(crowd.HARD)
    found = scanned(tmp_path, rows)
    assert alarmed(found, rows) == set()
    explained = [case for case in found.cases if case.explained_by == "a class or an office"]
    assert {named(rows)[one] for case in explained for one in case.accounts} == {f"classroom-{n}" for n in range(12)}
    assert {case.action for case in explained} == {"watch"}


def test_accounts_of_one_organization_are_one_customer(tmp_path: Path) -> None:
    rows = [
        {**row, "organization": "one" if row["account"].startswith("fleet") else None} for row in crowd.rows(hard=())
    ]
    found = scanned(tmp_path, rows)
    assert alarmed(found, rows) == set()
    assert found.about["accounts"] == found.about["customers"] + 8


def test_an_organization_that_holds_most_accounts_is_no_customer(tmp_path: Path) -> None:
    rows = [{**row, "organization": "default"} for row in crowd.rows(hard=())]
    found = scanned(tmp_path, rows)
    assert len(found.about["organizations_that_are_no_customer"]) == 1
    assert len(alarmed(found, rows)) == 9


def test_one_kind_of_evidence_is_no_case(tmp_path: Path) -> None:
    rows = crowd.rows(campaign=False, hard=("reseller",))
    assert [case for case in scanned(tmp_path, rows).cases if case.outcome != "no evidence"] == []


def test_without_texts_the_fleet_is_seen_by_payment_and_time(tmp_path: Path) -> None:
    rows = crowd.rows(hard=())
    found = scanned(tmp_path, rows, metadata_only=True)
    assert len(alarmed(found, rows)) >= 6
    assert all(name.startswith("fleet-") for name in alarmed(found, rows))
    case = next(one for one in found.cases if one.outcome == "evidence")
    assert case.targets == ("unknown",)
    assert "content" not in {one.family for one in case.evidence}
    assert {"templates", "phrasing", "near_duplicates"} <= {gap.kind for gap in found.gaps}
    assert any("templates: no event has prompt" in line for line in lines(found))
    assert "chain of thought" not in (tmp_path / "out" / CASES).read_text()


def test_fewer_than_twenty_customers_are_not_enough(tmp_path: Path) -> None:
    rows = list(crowd.fleet(crowd.random.Random(3)))
    found = scanned(tmp_path, rows)
    assert {case.outcome for case in found.cases} <= {"not enough data"}
    assert any(line.startswith("not enough data") for line in lines(found))


def test_the_smallest_p_is_told(everything: tuple[Scanned, Path]) -> None:
    about = everything[0].about
    assert about["smallest_p"] >= 1 / 10_000
    told = next(line for line in lines(everything[0]) if "groups were asked" in line)
    assert f"smallest p that can be reached is {about['smallest_p']:.2g}" in told


def test_cases_are_read_as_they_were_written(everything: tuple[Scanned, Path]) -> None:
    cases, about = read_cases(everything[1] / CASES)
    assert cases == everything[0].cases
    assert about == json.loads(json.dumps(everything[0].about))
    with pytest.raises(PotstillError, match="no cases here"):
        read_cases(everything[1] / "none" / CASES)


def test_shuffled_evidence_accuses_hardly_anybody(tmp_path: Path) -> None:
    log = jsonl(tmp_path / "log.jsonl", crowd.rows(hard=()))
    found = scan([log], tmp_path / "out", Intake(KEY), QUICK, replicas=10)
    assert found.about["calibration"]["replicas"] == 10
    assert found.about["calibration"]["replicas_with_alarm"] <= 3  # more have a chance of 0.001 at a level of 0.05
    assert len(the_case(found).accounts) == 9  # the real one is still there
    (told,) = [line for line in lines(found) if line.startswith("calibration")]
    assert "of 10 scans accuse anybody" in told


class _Killed(Silent):
    def __init__(self, at: str) -> None:
        self._at = at

    def say(self, text: str) -> None:
        if text.startswith(self._at):
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", ["computing", "asking"])
def test_a_killed_scan_goes_on_and_ends_the_same(tmp_path: Path, at: str) -> None:
    rows = crowd.rows(hard=())
    whole = scanned(tmp_path / "whole", rows)
    log = jsonl(tmp_path / "log.jsonl", rows)
    with pytest.raises(KeyboardInterrupt):
        scan([log], tmp_path / "out", Intake(KEY), QUICK, _Killed(at))
    assert not (tmp_path / "out" / CASES).exists()
    read = (tmp_path / "out" / "events" / "events.json").stat().st_mtime_ns
    again = scan([log], tmp_path / "out", Intake(KEY), QUICK)
    assert (tmp_path / "out" / "events" / "events.json").stat().st_mtime_ns == read
    assert again.ingested is None
    assert again.cases == whole.cases
    assert (tmp_path / "out" / CASES).read_bytes() == (tmp_path / "whole" / "out" / CASES).read_bytes()


def test_another_log_needs_another_folder(tmp_path: Path) -> None:
    rows = crowd.rows(campaign=False, hard=())[:50]
    scanned(tmp_path, rows)
    with pytest.raises(PotstillError, match="scan of other logs"):
        scanned(tmp_path, rows[:40])
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "note.txt").touch()
    with pytest.raises(PotstillError, match="holds other files"):
        scan([tmp_path / "log.jsonl"], tmp_path / "own", Intake(KEY))


def test_an_empty_log_and_a_torn_one(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    found = scan([tmp_path / "empty.jsonl"], tmp_path / "empty", Intake(KEY))
    assert (found.cases, found.about["events"]) == ([], 0)
    assert any(line.startswith("cases: 0 evidence") for line in lines(found))
    rows = crowd.rows(campaign=False, hard=())[::-1]  # clocks run backwards
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    (tmp_path / "torn.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    torn = scan([tmp_path / "torn.jsonl.gz"], tmp_path / "torn", Intake(KEY), QUICK)
    assert torn.ingested is not None
    assert 0 < torn.about["events"] < len(rows)
    assert torn.ingested.noted.quarantined.total() == 1


def test_events_without_any_identity_make_no_case(tmp_path: Path) -> None:
    found = scanned(tmp_path, [{"model": "m", "status": 200, "prompt": "a question"}] * 5)
    assert (found.cases, found.about["customers"]) == ([], 0)
