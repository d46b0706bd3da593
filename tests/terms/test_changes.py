"""What differs between two sets of rules."""

import json
from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as some

from potstill.terms.changes import compare
from potstill.terms.rule import Rule
from potstill.terms.rule_files import packaged


def test_nothing_differs_from_itself() -> None:
    assert compare(packaged(), packaged()).lines() == ["no rule differs"]
    moved = tuple(replace(rule, origin="elsewhere.yaml") for rule in packaged())
    assert compare(packaged(), moved).data() == {"added": [], "removed": [], "changed": []}


def test_verdicts_come_first_then_fields_then_what_came_and_went() -> None:
    by_id = {rule.id: rule for rule in packaged()}
    gone, new = by_id.pop("mit"), replace(by_id["apache-2.0"], id="bsd-3-clause")
    apache = replace(by_id["apache-2.0"], section="4(d)", checked=date(2027, 1, 2))
    llama = by_id["llama3.1"]
    llama = replace(
        llama,
        output_training="prohibited",
        applies_to=(*llama.applies_to[1:], "meta-llama/New*"),
        obligations=llama.obligations[::-1],
        summary="",
    )
    vertex = replace(by_id["google-cloud-vertex-terms"], output_training="conditional")
    later = (*(by_id | {one.id: one for one in (apache, llama, vertex, new)}).values(),)
    found = compare((*by_id.values(), gone), later)
    assert found.lines() == [
        "changed google-cloud-vertex-terms: unknown -> conditional (milder)",
        "changed llama3.1: conditional -> prohibited (stricter)",
        "  applies_to: - meta-llama/Llama-3.1-*; + meta-llama/New*",
        "  obligations: in another order",
        f"  summary: {by_id['llama3.1'].summary} -> none",
        "changed apache-2.0",
        "  section: 4 -> 4(d)",
        "  checked: 2026-11-25 -> 2027-01-02",
        "added bsd-3-clause: allowed (license:apache-2.0)",
        "removed mit: allowed (license:mit)",
    ]
    data = json.loads(json.dumps(found.data()))
    assert [one["id"] for one in data["changed"]] == ["google-cloud-vertex-terms", "llama3.1", "apache-2.0"]
    assert [one["direction"] for one in data["changed"]] == ["milder", "stricter", None]
    assert data["changed"][2]["fields"]["checked"] == {"old": "2026-11-25", "new": "2027-01-02"}
    assert data["added"][0]["id"] == "bsd-3-clause"
    assert data["removed"][0]["checked"] == "2026-11-25"


@given(some.sets(some.sampled_from(packaged())), some.sets(some.sampled_from(packaged())))
def test_turning_the_sets_round_turns_the_changes_round(old: set[Rule], new: set[Rule]) -> None:
    there, back = compare(old, new), compare(new, old)
    assert set(there.added) == set(back.removed) == new - old
    assert there.changed == back.changed == ()
