"""The allow-list: licensed customers stay visible with a lower action, and a licence that ended does not count."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard import crowd
from guard.case_samples import ACCOUNTS, sample
from guard.logs import KEY, jsonl
from potstill.errors import PotstillError
from potstill.guard import Intake, Pseudonyms
from potstill.guard.cases.findings import How
from potstill.guard.cases.scan import scan
from potstill.guard.cases.told import lines
from potstill.guard.licensed import LICENSED, Allow, Licence, lowered, read_allow_list, unmatched

TODAY = date(2026, 2, 1)
NAMES = Pseudonyms(KEY)


def written(path: Path, *rows: str) -> tuple[Licence, ...]:
    file = path / "allow.csv"
    file.write_text("\n".join(["account,organization,reason,until", *rows]) + "\n", encoding="utf-8")
    return read_allow_list(file, NAMES)


def test_a_licensed_organization_is_explained_and_still_a_case(tmp_path: Path) -> None:
    licences = written(tmp_path, ",acme,contract 12,2026-12-31")
    of = dict.fromkeys(ACCOUNTS, NAMES.of("organization", "acme"))
    (case,) = lowered([sample()], licences, of, TODAY)
    assert (case.outcome, case.action, case.explained_by) == ("evidence", "watch", LICENSED)
    assert case.accounts == ACCOUNTS
    assert case.explanation[-2:] == (
        "Licensed: 6 of 6 accounts (contract 12; until 2026-12-31).", "So the action is watch instead of cap.",
    )  # fmt: skip


def test_some_licensed_accounts_lower_it_one_step(tmp_path: Path) -> None:
    licences = written(tmp_path, f"{ACCOUNTS[0]},,by pseudonym,", f"{ACCOUNTS[1]},,by pseudonym,")
    (case,) = lowered([sample(action="refuse")], licences, {}, TODAY)
    assert (case.action, case.explained_by) == ("cap", None)
    assert "Licensed: 1 of 6 accounts (by pseudonym; without end)." in case.explanation
    (watched,) = lowered([sample(action="watch")], licences, {}, TODAY)
    assert watched.action == "watch"


def test_a_licence_that_ended_is_said_and_does_not_count(tmp_path: Path) -> None:
    licences = written(tmp_path, ",acme,old contract,2026-01-31")
    of = dict.fromkeys(ACCOUNTS, NAMES.of("organization", "acme"))
    (case,) = lowered([sample()], licences, of, TODAY)
    assert (case.action, case.explained_by) == ("cap", None)
    assert "old contract) held until 2026-01-31 only and does not count." in case.explanation[-1]
    (then,) = lowered([sample()], licences, of, date(2026, 1, 31))
    assert then.explained_by == LICENSED


def test_others_are_left_as_they_are_and_names_that_are_nobodys_are_said(tmp_path: Path) -> None:
    licences = written(tmp_path, "customer-9,,contract,", ",nobody inc,contract,")
    cases = [sample(), sample(id="case-2")]
    assert lowered(cases, licences, {}, TODAY) == cases
    assert [one.split(": ")[1] for one in unmatched(licences, set(ACCOUNTS), {})] == ["names nobody in this log"] * 2
    assert not list(unmatched(licences[:1], {NAMES.of("account", "customer-9")}, {}))


def test_a_scan_with_a_list_and_its_report(tmp_path: Path) -> None:
    rows = crowd.rows(hard=())
    fleet = sorted({row["account"] for row in rows if row["account"].startswith("fleet-")})
    licences = written(tmp_path, *(f"{name},,contract 7," for name in fleet), ",elsewhere ltd,contract 8,")
    log = jsonl(tmp_path / "log.jsonl", rows)
    found = scan([log], tmp_path / "out", Intake(KEY), How(permutations=9_999), allow=Allow(licences, TODAY))
    cases = [case for case in found.cases if case.explained_by == LICENSED]
    assert {one for case in cases for one in case.accounts} == {NAMES.of("account", name) for name in fleet}
    assert all((case.action, case.outcome) == ("watch", "evidence") for case in cases)
    assert any("allow.csv:" in line and "names nobody in this log" in line for line in lines(found))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for case in cases:
        assert case.id in page
    assert "contract 7" in page
    assert page.count('class="bar"') >= 7 * len(found.cases)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("account,reason\na,\n", "allow.csv:2: give a reason"),
        ("account,organization,reason\na,b,c\n", "allow.csv:2: name either an account or an organization"),
        ("account,organization,reason\n,,c\n", "allow.csv:2: name either an account or an organization"),
        ("account,reason,until\na,b,soon\n", "allow.csv:2: until is a day such as 2026-12-31, not 'soon'"),
        ("account,reason\na,b,c\n", "allow.csv:2: name either an account"),
        ("account,until\na,2026-01-01\n", "allow.csv:1: wanted is a header"),
        ("account,reason,colour\na,b,c\n", "allow.csv:1: wanted is a header"),
        ("", "allow.csv:1: wanted is a header"),
        ("account,reason\n\xff,b\n", "cannot be read"),
    ],
)
def test_bad_lists_say_where(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "allow.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(PotstillError) as refused:
        read_allow_list(tmp_path / "allow.csv", NAMES)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@settings(deadline=None)
@given(st.sets(st.sampled_from(ACCOUNTS)), st.sampled_from(["none", "watch", "verify identity", "cap", "refuse"]))
def test_no_list_raises_an_action_or_hides_a_case(covered: set[str], action: str) -> None:
    ladder = ["none", "watch", "verify identity", "cap", "refuse"]
    licences = [Licence("allow.csv:2", False, frozenset({one}), "reason", None) for one in sorted(covered)]
    (case,) = lowered([sample(action=action)], licences, {}, TODAY)
    assert ladder.index(case.action) <= ladder.index(action)
    assert case.outcome == "evidence"
    assert (case.explained_by == LICENSED) == (covered == set(ACCOUNTS))
