"""Campaigns that are a large part of a log are found, and customers who share a common thing only are kept apart."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from guard import crowd
from guard.logs import KEY, jsonl
from potstill.guard import Intake, Pseudonyms
from potstill.guard.cases.findings import Finding, How, examine
from potstill.guard.cases.gathered import Candidate, Gathered, Question
from potstill.guard.cases.permutation import Exchangeable, Shared
from potstill.guard.cases.population import Population
from potstill.guard.cases.scan import scan
from potstill.guard.cases.staying import tied
from potstill.guard.evidence.links import Link

COUNT = 400
CLASS, CARD, CHANCE = tuple(range(12)), tuple(range(12, 18)), (18, 19)
QUICK = How(permutations=9_999)


@pytest.mark.parametrize("others", [90, 48])  # so that the template is a fifth's, and three in ten customers'
def test_a_template_of_more_than_a_twentieth_of_all_joins_a_campaign_of_many_cards(tmp_path: Path, others: int) -> None:
    rng = random.Random(5)
    rows = [*crowd.customers(rng, others, 25), *crowd.large_campaign(rng), *crowd.hard_negative("reseller", rng)]
    found = scan([jsonl(tmp_path / "log.jsonl", rows)], tmp_path / "out", Intake(KEY), QUICK)
    (case,) = [one for one in found.cases if one.outcome == "evidence"]
    names = Pseudonyms(KEY)
    assert case.accounts == tuple(sorted(names.of("account", f"large-{number}") for number in range(24)))
    assert {"payment", "content"} <= {one.family for one in case.evidence}


def gathered(members: tuple[int, ...]) -> tuple[Gathered, Finding]:
    """A network with these members: a class with its own essay, accounts of one card, two with a common phrase."""
    names = [f"{at:03}" for at in range(COUNT)]
    nobody = np.zeros(COUNT)
    blocks = Exchangeable(np.zeros(COUNT, np.intp))
    everybody = Population(
        names, {name: at for at, name in enumerate(names)}, {}, blocks, nobody, nobody, ["one"] * COUNT
    )  # fmt: skip
    candidate = Candidate("origin", members, Link("network", tuple(names[at] for at in members), "n", 1))
    essay = [*CLASS], [*CHANCE], [*range(30, 36)]
    cards = [*CARD], [300, 301]
    questions = [
        Question("content", "content", shared(essay, [5.0, 2.1, 3.0])),
        Question("payment", "payment", shared(cards, [6.0, 6.0])),
        Question("coactivation", "timing", shared([[*CARD], [*CLASS]], [6.0, 5.0])),
    ]
    made = Gathered(everybody, [], [candidate], questions, pa.table({}))
    (finding,) = examine(made, QUICK)
    return made, finding


def shared(holders: tuple[list[int], ...] | list[list[int]], bits: list[float]) -> Shared:
    holds = np.zeros((COUNT, len(holders)), np.float32)
    for value, at in enumerate(holders):
        holds[at, value] = 1
    return Shared(csr_array(holds), np.asarray(bits))


def test_on_a_network_of_many_a_class_and_a_campaign_are_two_groups_and_a_chance_pair_is_none() -> None:
    made, finding = gathered((*range(20), *range(50, 90)))
    found = sorted(tied(finding, made, QUICK), key=lambda part: part.members)
    assert [part.members for part in found] == [CLASS, CARD]
    assert set(found[0].families) == {"origin", "content", "timing"}
    assert set(found[1].families) == {"origin", "timing"}


def test_where_half_of_a_group_show_a_second_kind_it_is_one_group() -> None:
    made, finding = gathered(tuple(range(20)))
    (found,) = tied(finding, made, QUICK)
    assert set(CLASS + CARD) <= set(found.members)


def test_a_group_without_a_second_kind_beyond_chance_has_nobody_in_it() -> None:
    made, finding = gathered((18, 19, *range(100, 150)))
    assert finding.p_value > QUICK.level
    assert tied(finding, made, QUICK) == []


def test_two_who_share_a_text_are_nobody_where_an_address_joined_three() -> None:
    made, finding = gathered((*CHANCE, 100))
    assert finding.p_value <= QUICK.level
    assert tied(finding, made, QUICK) == []
