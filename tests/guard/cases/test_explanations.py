"""Innocent explanations fit by plain traits, never where wording asks for reasoning; actions grow with witnesses."""

from dataclasses import replace

import pytest

from potstill.guard.cases.case import Action
from potstill.guard.cases.explanations import Traits, explanation, owned
from potstill.guard.cases.findings import Finding
from potstill.guard.cases.gathered import Candidate
from potstill.guard.cases.showing import action_for
from potstill.guard.cases.staying import Tied, merged
from potstill.guard.evidence.links import Link

CAMPAIGN = Traits(
    frozenset({"payment", "content"}), p_conduct=0.001, repeats=0.0, hours_of_day=24.0, exchanges=700.0,
    usual_exchanges=90.0, wording=0.0, one_payer=False, one_owner=True, takes_over=False,
)  # fmt: skip
CLASS = replace(
    CAMPAIGN, families=frozenset({"signup", "origin", "content"}), p_conduct=0.6, hours_of_day=6.0, exchanges=40.0
)  # fmt: skip


@pytest.mark.parametrize(
    ("traits", "name"),
    [
        (CAMPAIGN, None),
        (CLASS, "a class or an office"),
        (replace(CLASS, p_conduct=0.001), None),
        (replace(CLASS, exchanges=500.0), None),
        (replace(CAMPAIGN, repeats=0.9), "repeated prompts"),
        (replace(CAMPAIGN, one_payer=True), None),
        (replace(CAMPAIGN, one_payer=True, p_conduct=0.4), "one paying customer"),
        (replace(CAMPAIGN, one_payer=True, families=frozenset({"payment", "conduct"})), "one paying customer"),
        (replace(CAMPAIGN, families=frozenset({"content", "timing"}), one_owner=False), "shared software"),
        (replace(CAMPAIGN, families=frozenset({"content", "timing"}), one_owner=False, takes_over=True), None),
        (replace(CAMPAIGN, families=frozenset({"content", "timing", "origin"}), one_owner=False), "shared software"),
    ],
)  # fmt: skip
def test_what_explains_a_group(traits: Traits, name: str | None) -> None:
    found = explanation(traits)
    assert (found.name if found else None) == name
    assert explanation(replace(traits, wording=0.3)) is None


def test_a_place_says_who_owns_accounts_only_where_half_of_those_who_come_from_it_are_in_the_case() -> None:
    members = {f"router-{number}" for number in range(6)}
    others = [f"other-{number}" for number in range(7)]
    region = Link("network", tuple(sorted([*members, *others])), "region", 100, strength_bits=4.3)
    rack = Link("network", ("other-0", "other-1", "router-0", "router-1"), "rack", 100, strength_bits=7.0)
    assert owned("origin", members, members, [region]) == set()
    assert owned("origin", members, members, [region, rack]) == {"router-0", "router-1"}
    assert owned("payment", members, members, [region]) == members


@pytest.mark.parametrize(
    ("families", "p_conduct", "wording", "action"),
    [
        (2, 0.2, 0.0, "verify identity"), (3, 0.2, None, "verify identity"), (3, 0.001, 0.0, "cap"),
        (3, None, 0.2, "cap"), (4, 0.001, 0.0, "refuse"), (3, 0.001, 0.2, "refuse"),
    ],
)  # fmt: skip
def test_actions_grow_with_witnesses(
    families: int, p_conduct: float | None, wording: float | None, action: Action
) -> None:
    traits = replace(CAMPAIGN, p_conduct=p_conduct, wording=wording)
    assert action_for("evidence", None, families, traits) == action
    assert action_for("not enough data", None, families, traits) == "watch"
    assert action_for("no evidence", None, families, traits) == "none"
    assert action_for("no evidence", explanation(CLASS), families, traits) == "watch"


def test_groups_that_overlap_are_one_campaign_through_others_too() -> None:
    def group(*members: int) -> Tied:
        candidate = Candidate("payment", members, Link("payment", ("a", "b"), "", 1))
        return Tied(Finding(candidate, {}, 0.0, 0.0, 1), members, {"payment": members})

    parts = [group(1, 2, 3), group(8, 9), group(5, 6, 7, 4), group(3, 30, 31, 32), group(2, 3, 5, 6)]
    found = sorted(sorted({at for part in one for at in part.members}) for one in merged(parts))
    assert found == [[1, 2, 3, 4, 5, 6, 7], [3, 30, 31, 32], [8, 9]]
