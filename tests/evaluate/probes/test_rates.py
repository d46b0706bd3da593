"""Rates with intervals, by prompt, against what statsmodels would say and against counts by hand."""

import pytest

from potstill.evaluate.probes.rates import Case, Comparison, Draws, rate
from potstill.stats import mcnemar, wilson

DRAWS = Draws(500, 0)


def cases(both: int = 0, lost: int = 0, new: int = 0, neither: int = 0) -> Comparison:
    kinds = [(True, True)] * both + [(True, False)] * lost + [(False, True)] * new + [(False, False)] * neither
    return Comparison([Case(str(at), *one) for at, one in enumerate(kinds)])


def test_lost_and_new_are_shares_of_what_the_teacher_does_and_does_not() -> None:
    found = cases(both=6, lost=4, new=3, neither=17)
    assert found.lost(DRAWS) == wilson(4, 10)
    assert found.new(DRAWS) == wilson(3, 20)
    assert found.p_value() == mcnemar(4, 3)
    facts = found.facts(DRAWS)
    assert (facts["cases"], facts["prompts"], facts["lost"], facts["new"]) == (30, 30, 4, 3)
    assert facts["teacher"]["count"] == 10
    assert facts["student"]["share"] == pytest.approx(9 / 30)


def test_fewer_than_five_prompts_give_no_rate() -> None:
    assert cases(both=2, lost=2, neither=30).lost(DRAWS) is None
    assert rate([True] * 40, [str(at % 4) for at in range(40)], DRAWS) is None
    assert rate([True] * 5, list("abcde"), DRAWS) == wilson(5, 5)
    assert cases().p_value() == 1


def test_cases_of_one_prompt_stay_together() -> None:
    hits, prompts = [True] * 20 + [False] * 20, [str(at // 4) for at in range(40)]
    together, apart = rate(hits, prompts, DRAWS), rate(hits, [str(at) for at in range(40)], DRAWS)
    assert together is not None
    assert apart is not None
    assert together.n == 10
    assert together.value == apart.value == 0.5
    assert together.low is not None
    assert apart.low is not None
    assert together.low < apart.low - 0.1  # ten prompts that are all of one kind say less than forty cases


def test_several_cases_a_prompt_are_tested_by_prompts() -> None:
    same_way = [Case(str(at // 3), True, False) for at in range(30)]
    assert Comparison(same_way).p_value() == pytest.approx(2 / 2**10)  # ten prompts, whatever their cases are
