"""The STIX bundle: valid, marked, expiring, under the group's pseudonyms, and without a word of any prompt."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import stix2
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.case_samples import ABOUT, ACCOUNTS, ATTACK, TEMPLATE, sample
from potstill import cli
from potstill.errors import PotstillError
from potstill.guard import Pseudonyms
from potstill.guard.cases.case import CASES, write_cases
from potstill.guard.sharing import Terms, bundle_of, export_stix

GROUP = b"the key of a sharing group"
NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
TERMS = Terms(GROUP, NOW, "amber", 30)


def of_type(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in bundle["objects"] if one["type"] == kind]


def test_the_bundle_is_valid_stix() -> None:
    bundle = bundle_of([sample()], TERMS)
    parsed = stix2.parse(json.dumps(bundle), allow_custom=False, version="2.1")
    assert {one.type for one in parsed.objects} == {
        "identity", "extension-definition", "attack-pattern", "campaign", "indicator", "relationship",
        "marking-definition",
    }  # fmt: skip
    ids = {one["id"] for one in bundle["objects"]}
    for tie in of_type(bundle, "relationship"):
        assert {tie["source_ref"], tie["target_ref"]} <= ids
    assert {tie["relationship_type"] for tie in of_type(bundle, "relationship")} == {"indicates", "uses"}


def test_everything_is_marked_and_indicators_expire() -> None:
    bundle = bundle_of([sample()], TERMS)
    for one in bundle["objects"]:
        if one["type"] != "marking-definition":
            assert one["object_marking_refs"] == [stix2.TLP_AMBER.id], one["type"]
    (indicator,) = of_type(bundle, "indicator")
    times = [datetime.fromisoformat(indicator[name]) for name in ("valid_from", "valid_until")]
    assert times == [NOW, NOW + timedelta(days=30)]
    assert bundle_of([sample()], Terms(GROUP, NOW, "red"))["objects"][0]["id"] == stix2.TLP_RED.id


def test_no_text_and_no_pseudonym_of_the_scan_leaves() -> None:
    written = json.dumps(bundle_of([sample()], TERMS), ensure_ascii=False)
    for text in (ATTACK, TEMPLATE, "careful tutor", "<script", "in common", "ab12", "An example", *ACCOUNTS):
        assert text not in written
    assert "case-0123456789ab" not in written
    names = Pseudonyms(GROUP)
    for account in ACCOUNTS:
        assert names.of("account", account) in written


@settings(deadline=None, max_examples=40)
@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=12))
def test_whatever_a_template_says_it_stays_at_home(text: str) -> None:
    case = sample()
    said = tuple(type(one)(one.family, one.kinds, one.accounts, 0.1, text, text, (text,)) for one in case.evidence)
    hostile = sample(evidence=said, explanation=(text,))
    assert bundle_of([hostile], TERMS) == bundle_of([case], TERMS)


def test_numbers_follow_the_schema_that_goes_with_them() -> None:
    bundle = bundle_of([sample(), sample(id="case-2", tokens=None, targets=())], TERMS)
    (definition,) = of_type(bundle, "extension-definition")
    schema = json.loads(definition["schema"])
    first, second = (one["extensions"][definition["id"]] for one in of_type(bundle, "campaign"))
    for one in (first, second):
        jsonschema.validate(one, schema)
    assert (first["p_value"], first["exchanges"], first["tokens"], first["action"]) == (1e-4, 900, 123_456, "cap")
    assert first["evidence"] == ["content", "payment"]
    assert "tokens" not in second
    assert "confidence" not in json.dumps(bundle)


def test_same_case_same_bundle_and_another_group_another_name() -> None:
    assert bundle_of([sample()], TERMS) == bundle_of([sample()], TERMS)
    others = bundle_of([sample()], Terms(b"the key of another group", NOW, "amber", 30))
    mine = bundle_of([sample()], TERMS)
    assert of_type(others, "indicator")[0]["pattern"] != of_type(mine, "indicator")[0]["pattern"]
    assert of_type(others, "campaign")[0]["id"] != of_type(mine, "campaign")[0]["id"]
    assert of_type(others, "attack-pattern")[0]["id"] == of_type(mine, "attack-pattern")[0]["id"]


def test_only_what_stands_is_shared(tmp_path: Path) -> None:
    kept = [
        sample(id="a", explained_by="licensed customers"), sample(id="b", outcome="no evidence"),
        sample(id="c", action="watch"), sample(id="d", outcome="not enough data"),
    ]  # fmt: skip
    write_cases(tmp_path / CASES, kept, ABOUT)
    with pytest.raises(PotstillError, match="no case to share"):
        export_stix(tmp_path, tmp_path / "bundle.json", TERMS)
    assert not (tmp_path / "bundle.json").exists()
    write_cases(tmp_path / CASES, [*kept, sample()], ABOUT)
    assert export_stix(tmp_path, tmp_path / "bundle.json", TERMS) == 1
    assert len(of_type(json.loads((tmp_path / "bundle.json").read_text("utf-8")), "campaign")) == 1


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["guard", "export-stix", *arguments])
    shown = capsys.readouterr()
    return int(str(ended.value.code)), shown.out.strip(), shown.err.strip()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POTSTILL_GUARD_SHARE_KEY", raising=False)
    Path("group.key").write_bytes(GROUP)
    Path("scan").mkdir()
    assert "no cases here" in run(capsys, "scan", "--out", "b.json", "--key", "group.key")[2]
    write_cases(Path("scan") / CASES, [sample()], ABOUT)
    assert "identifiers need a key" in run(capsys, "scan", "--out", "b.json")[2]
    assert "--tlp pink: wanted is one of white, green" in run(
        capsys, "scan", "--out", "b.json", "--key", "group.key", "--tlp", "pink"
    )[2]  # fmt: skip
    assert "--expires-days 0" in run(
        capsys, "scan", "--out", "b.json", "--key", "group.key", "--expires-days", "0"
    )[2]  # fmt: skip
    code, out, _ = run(capsys, "scan", "--out", "b.json", "--key", "group.key", "--tlp", "green")
    assert (code, out) == (0, "1 case, TLP green, expiring after 90 days: b.json")
