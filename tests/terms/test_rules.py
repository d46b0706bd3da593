import json
from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from potstill.errors import PotstillError
from potstill.terms.rules import STRICTNESS, inherited, matching, parse_rules, rules

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
    return parse_rules(json.dumps({"rules": entries}), "rules.json")


def test_the_packaged_rules_load() -> None:
    found = rules()
    assert len(found) == 72
    assert {rule.output_training for rule in found} == set(STRICTNESS)
    assert rules() is found
    about = json.loads((files("potstill.terms") / "rules.json").read_text())["about"]
    assert "checked" in about


def test_what_was_not_read_is_not_called_checked() -> None:
    for rule in rules():
        if rule.checked is not None:
            assert rule.basis.startswith("read"), rule.id
            assert "recalled" not in rule.basis, rule.id
            assert rule.confidence != "low", rule.id


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
        ({"output_training": "fine"}, "output_training"),
        ({"kind": "license"}, "kind"),
        ({"confidence": "sure"}, "confidence"),
        ({"checked": "yesterday"}, "checked"),
        ({"checked": 2026}, "checked"),
        ({"applies_to": []}, "applies_to"),
        ({"applies_to": "org/*"}, "applies_to"),
        ({"conditions": []}, "conditions"),
        ({"obligations": [1]}, "obligations"),
        ({"document": ""}, "document"),
        ({"summary": None}, "summary"),
        ({"licence": "x"}, "licence"),
        ({"obligations": ["inherits:two"]}, "two"),
    ],
)
def test_a_malformed_rule_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(PotstillError, match=says):
        parse(GOOD | change)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rules": [3]}'])
def test_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(PotstillError, match=r"rules\.json"):
        parse_rules(text, "rules.json")


def test_two_rules_with_one_id_are_refused() -> None:
    with pytest.raises(PotstillError, match="two rules"):
        parse(GOOD, GOOD)


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


def test_inherited_rules_are_listed() -> None:
    rule = next(rule for rule in rules() if rule.id == "deepseek-r1-distill-llama")
    assert inherited(rule) == ("llama3.1", "llama3.3")
