"""The package's rules as data, and what is said where a file of rules is wrong."""

import json
import re
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from potstill.errors import PotstillError
from potstill.terms.obligations import OBLIGATIONS, known_obligation
from potstill.terms.rule_files import families, packaged, read_rules
from potstill.terms.rule_text import parse_rules
from potstill.terms.rules import STRICTNESS, Rule, fits, inherited, matching, rules

FOLDER = Path(str(files("potstill.terms"))) / "rules"
FILES = sorted(FOLDER.glob("*.yaml"))
SCHEMA = json.loads((FOLDER.parent / "rules.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
GOOD: dict[str, Any] = {
    "id": "one",
    "provider": "Somebody",
    "applies_to": ["org/Model-*"],
    "kind": "licence",
    "output_training": "allowed",
    "conditions": ["a notice"],
    "obligations": [],
    "document": "A licence",
    "version_or_date": "1",
    "section": "2",
    "url": "https://example.org",
    "confidence": "high",
    "basis": "read",
    "summary": "",
    "checked": "2026-11-25",
}


def parse(*entries: dict[str, Any]) -> Any:
    return parse_rules(json.dumps({"rules": entries}), "own/rules.json")


def fits_schema(data: Any) -> bool:
    return bool(VALIDATOR.is_valid(data))


class _DatesAreTexts(yaml.SafeLoader):
    """YAML as JSON Schema sees it (YAML 1.2 has no dates)."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as the class above has it)
        first: [one for one in found if "timestamp" not in one[0]]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def test_the_packaged_rules_load() -> None:
    found = rules()
    assert len(found) == 90
    assert {rule.output_training for rule in found} == set(STRICTNESS)
    assert rules() is found
    assert not any(rule.own for rule in found)
    assert {rule.origin for rule in found} == set(families()) == {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_is_as_the_schema_says(path: Path) -> None:
    data = yaml.load(path.read_text(encoding="utf-8"), _DatesAreTexts)
    VALIDATOR.validate(data)
    assert {"family", "about"} <= data.keys()
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=../rules.schema.json\n")


def test_the_schema_is_one_and_explains_every_field() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == "urn:potstill:terms:rules:1"
    fields = SCHEMA["$defs"]["rule"]["properties"]
    assert all(field["title"] and field["description"] for field in fields.values())
    assert "2026-11-25" in fields["checked"]["description"]  # what the day of the first release's rules means
    assert fields["recheck_days"]["default"] == parse(GOOD)[0].recheck_days


def test_schema_and_code_know_the_same_obligations() -> None:
    forms = {"none": "", "text": r":.*\S.*", "number": ":[0-9]+"}
    wanted = [(f"^{name}{forms[one.value]}$", one.meaning) for name, one in OBLIGATIONS.items()]
    listed = SCHEMA["$defs"]["rule"]["properties"]["obligations"]["items"]["oneOf"]
    assert [(one["pattern"], one["description"]) for one in listed] == wanted


def test_what_was_not_read_is_not_called_checked() -> None:
    for rule in rules():
        if rule.checked is not None:
            assert rule.basis.startswith("read"), rule.id
            assert "recalled" not in rule.basis, rule.id
            assert rule.confidence != "low", rule.id


def test_a_service_is_looked_at_again_sooner_than_a_licence() -> None:
    assert {(rule.kind, rule.recheck_days) for rule in rules()} == {("terms", 180), ("licence", 365)}
    (rule,) = parse(GOOD | {"recheck_days": 30})
    day = date(2026, 11, 25)
    assert rule.overdue_days(day + timedelta(days=30)) is None
    assert rule.overdue_days(day + timedelta(days=31)) == 31
    assert parse(GOOD | {"checked": None})[0].overdue_days(day) is None  # said in other words: never compared


def test_fields_become_tuples_and_dates() -> None:
    (rule,) = parse(GOOD | {"obligations": ["name_prefix:X", "aup"]})
    assert rule.applies_to == ("org/Model-*",)
    assert rule.checked == date(2026, 11, 25)
    assert rule.has("aup")
    assert rule.has("name_prefix")
    assert not rule.has("name")
    assert rule.values("name_prefix") == ("X",)
    assert parse(GOOD | {"checked": None})[0].checked is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"output_training": "fine"}, "output_training: 'fine' is not one of allowed"),
        ({"kind": "license"}, "kind: 'license' is not one of licence, terms"),
        ({"confidence": "sure"}, "confidence: 'sure'"),
        ({"checked": "yesterday"}, "checked: 'yesterday' is neither null nor a date"),
        ({"checked": "20261125"}, "checked: '20261125' is neither"),
        ({"checked": 2026}, "checked: 2026 is neither"),
        ({"recheck_days": 0}, "recheck_days: 0 is not a number of days"),
        ({"recheck_days": True}, "recheck_days: True"),
        ({"applies_to": []}, "applies_to: must not be empty"),
        ({"applies_to": "org/*"}, "applies_to: must be a list of texts"),
        ({"conditions": []}, "conditions: must not be empty"),
        ({"obligations": [1]}, "obligations: must be a list of texts"),
        ({"obligations": ["noncomercial_only"]}, "obligations: 'noncomercial_only' is none; there are attribution"),
        ({"obligations": ["name_prefix"]}, "obligations: 'name_prefix': write name_prefix:TEXT"),
        ({"obligations": ["mau_max:many"]}, "obligations: 'mau_max:many': write mau_max:NUMBER"),
        ({"obligations": ["aup:all"]}, "obligations: 'aup:all': write aup"),
        ({"document": " "}, "document: must not be empty"),
        ({"section": 3.3}, "section: must be a text; write it in quotes: '3.3'"),
        ({"summary": None}, "summary: must be a text"),
        ({"licence": "x"}, "licence: no such field; there are applies_to"),
    ],
)
def test_a_malformed_rule_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(PotstillError) as caught:
        parse(GOOD | change)
    assert str(caught.value).startswith(f"own/rules.json:1: rule 1 (one): {says}")
    assert not fits_schema({"rules": [GOOD | change]})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(PotstillError, match=r"rule 1 \(one\): missing: checked, url$"):
        parse({name: value for name, value in GOOD.items() if name not in ("checked", "url")})


def test_the_line_of_what_is_wrong_is_named() -> None:
    text = yaml.safe_dump({"rules": [GOOD, GOOD | {"id": "two", "kind": "contract"}]}, sort_keys=False)
    line = 1 + text.splitlines().index("  kind: contract")
    with pytest.raises(PotstillError, match=rf"^contract\.yaml:{line}: rule 2 \(two\): kind: 'contract' is not"):
        parse_rules(text, "contract.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is a mapping with a list"),
        ("[]", "is a mapping with a list"),
        ("{}", "is a mapping with a list"),
        ("rules: none", "is a mapping with a list"),
        ("rules: [3]", r"rules\.yaml:1: rule 1: must be a mapping"),
        ("rules: []\nrule: 1", "no such key: rule"),
        ("rules: [", r"rules\.yaml:\d+: not valid YAML"),
        ("rules: []\nrules: []", r"rules\.yaml:1: not valid YAML \(a key stands twice\)"),
        ("? [a]\n: 1", r"rules\.yaml:1: not valid YAML"),
        ("rules: " + "[" * 5000, r"rules\.yaml.*: not valid YAML"),
    ],
)
def test_malformed_text_is_refused(text: str, says: str) -> None:
    with pytest.raises(PotstillError, match=says):
        parse_rules(text, "rules.yaml")


def read_or_refused(text: str) -> tuple[Rule, ...] | str:
    try:
        return parse_rules(text, "rules.yaml")
    except PotstillError as error:
        return str(error)


@given(some.recursive(some.none() | some.booleans() | some.floats(allow_nan=False) | some.text(),
                      lambda one: some.lists(one) | some.dictionaries(some.text(), one), max_leaves=8),
       some.sampled_from(sorted(GOOD)))  # fmt: skip
def test_whatever_stands_in_a_field_is_read_or_refused_in_one_line(value: Any, field: str) -> None:
    entry = GOOD | {field: value}
    found = read_or_refused(yaml.safe_dump({"rules": [entry]}))
    if isinstance(found, str):
        assert re.fullmatch(r"rules\.yaml:\d+: rule 1.*", found)
    else:
        assert fits_schema({"rules": [entry]})  # the schema takes all that the reader takes


@given(some.text())
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    found = read_or_refused(text)
    assert found == () or (isinstance(found, str) and re.fullmatch(r"rules\.yaml.*", found))


@pytest.mark.parametrize(
    ("text", "known"),
    [("aup", True), ("aup:", False), ("display:Built with X", True), ("display: ", False), ("display", False),
     ("mau_max:700000000", True), ("mau_max:7e8", False), ("mau_max:", False), ("", False), ("share_always", False)],
)  # fmt: skip
def test_obligations_are_known_with_their_values(text: str, known: bool) -> None:
    assert known_obligation(text) == known
    assert fits_schema({"rules": [GOOD | {"obligations": [text]}]}) == known


def test_two_rules_with_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PotstillError, match=r"rules\.json: two rules are called one"):
        parse(GOOD, GOOD)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump({"rules": [GOOD]}))
    with pytest.raises(PotstillError, match=r"a\.yaml and b\.yaml: two rules are called one"):
        read_rules([tmp_path])


def test_the_most_literal_licence_wins_and_all_terms_bind() -> None:
    found = parse(
        GOOD,
        GOOD | {"id": "two", "applies_to": ["org/*", "org/Model-9*"]},
        GOOD | {"id": "three", "applies_to": ["org/*"], "kind": "terms"},
    )
    assert [rule.id for rule in matching("org/Model-1", found)] == ["one", "three"]
    assert [rule.id for rule in matching("ORG/model-90", found)] == ["two", "three"]
    assert [rule.id for rule in matching("org/other", found)] == ["two", "three"]
    assert matching("other/Model-1", found) == ()


@pytest.mark.parametrize(
    ("name", "pattern", "fit"),
    [("Org/A-1", "org/a-*", True), ("org/a", "org/a-*", False), ("xorg/a-1", "org/a-*", False),
     ("org/a9b", "org/a[0-9]b", True), ("org/axb", "org/a[0-9]b", False), ("org/ab", "org/a?", True),
     ("anything:x", "*", True), ("org/a", "org/a", True), ("org/ab", "org/a", False)],
)  # fmt: skip
def test_patterns_fit_whole_names(name: str, pattern: str, fit: bool) -> None:
    assert fits(name, pattern) == fit


def test_inherited_rules_are_listed() -> None:
    rule = next(rule for rule in rules() if rule.id == "deepseek-r1-distill-llama")
    assert inherited(rule) == ("llama3.1", "llama3.3")
    assert {target for rule in packaged() for target in inherited(rule)} <= {rule.id for rule in packaged()}
