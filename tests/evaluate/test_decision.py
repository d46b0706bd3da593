"""The decision: three words, on the unfavourable end, and never more than the evidence holds."""

import json
import math

import pytest

from potstill.evaluate.decision import decide
from potstill.records import Figure


def share(value: float, low: float | None, high: float | None, n: int = 60) -> Figure:
    return Figure(value, low, high, n, "share")


AGREES = {"top1_agreement": share(0.65, 0.62, 0.68)}


@pytest.mark.parametrize(
    ("text", "word", "exit_code"),
    [
        (">= 0.60", "ship", 0),
        (">= 0.62", "ship", 0),
        (">= 0.63", "inconclusive", 5),
        (">= 0.68", "inconclusive", 5),
        (">= 0.69", "no ship", 3),
        ("<= 0.69", "ship", 0),
        ("<= 0.68", "ship", 0),
        ("<= 0.65", "inconclusive", 5),
        ("<= 0.62", "inconclusive", 5),
        ("<= 0.61", "no ship", 3),
    ],
)
def test_whole_interval_decides(text: str, word: str, exit_code: int) -> None:
    decision = decide(AGREES, {"top1_agreement": text})
    assert (decision["word"], decision["exit_code"]) == (word, exit_code)


def test_keys_are_those_of_the_contract_and_json_holds_them() -> None:
    decision = decide(AGREES, {"top1_agreement": ">= 0.60"})
    (condition,) = json.loads(json.dumps(decision, allow_nan=False))["conditions"]
    why = condition.pop("why")
    assert condition == {
        "figure": "top1_agreement",
        "operator": ">=",
        "threshold": 0.6,
        "value": 0.65,
        "low": 0.62,
        "high": 0.68,
        "met": "yes",
        "needed_n": None,
    }
    assert why == "top-1 agreement is 65.00 % (95 % interval 62.00 to 68.00 %), at least the 60 % asked for"
    assert decision["reason"] == why


def test_one_missed_condition_outweighs_what_is_open_and_met() -> None:
    figures = AGREES | {
        "kl_nats": Figure(0.9, 0.8, 1.0, 60, "nats"),
        "decode_speedup": Figure(1.2, 1.1, 1.3, 12, "ratio"),
    }
    accept = {"top1_agreement": ">= 0.6", "kl_nats": "<= 0.95", "decode_speedup": ">= 1.4"}
    decision = decide(figures, accept)
    assert decision["word"] == "no ship"
    assert [entry["met"] for entry in decision["conditions"]] == ["yes", "undecided", "no"]
    assert decision["reason"].startswith("decode speed-up is 1.200×")
    assert "below the 1.4× asked for" in decision["reason"]


def test_several_missed_conditions_are_counted() -> None:
    decision = decide(AGREES, {"top1_agreement": ">= 0.9"})
    assert "more" not in decision["reason"]
    figures = AGREES | {"kl_nats": Figure(2, 1.9, 2.1, 60, "nats"), "chrf": Figure(9, 8, 10, 60, "score")}
    accept = {"top1_agreement": ">= 0.9", "kl_nats": "<= 0.9", "chrf": ">= 50"}
    assert decide(figures, accept)["reason"].endswith("(and 2 more are missed)")
    assert decide(figures, dict(list(accept.items())[:2]))["reason"].endswith("(and 1 more is missed)")


def test_all_met_says_so_once() -> None:
    figures = AGREES | {"parameter_ratio": Figure(0.6, None, None, 1, "ratio")}
    decision = decide(figures, {"top1_agreement": ">= 0.6", "parameter_ratio": "<= 0.65"})
    assert decision["reason"] == "all 2 conditions hold at the unfavourable end of their intervals"


def test_undecided_says_how_many_prompts_would_decide() -> None:
    decision = decide({"top1_agreement": share(0.62, 0.57, 0.67)}, {"top1_agreement": ">= 0.60"})
    (condition,) = decision["conditions"]
    assert condition["needed_n"] == 767
    assert "about 770 held-out prompts would decide it" in decision["reason"]


def test_value_on_the_threshold_is_never_decided_by_more_cases() -> None:
    decision = decide({"top1_agreement": share(0.60, 0.57, 0.63)}, {"top1_agreement": ">= 0.60"})
    assert decision["conditions"][0]["needed_n"] is None
    assert "no number of cases" in decision["reason"]


@pytest.mark.parametrize("value", [0.05, 0.65, 0.99])
@pytest.mark.parametrize("name", ["top1_agreement", "initial_student.top1_agreement"])
def test_fewer_than_20_prompts_conclude_nothing(name: str, value: float) -> None:
    decision = decide({name: share(value, value - 0.01, value + 0.01, n=19)}, {name: ">= 0.60"})
    assert (decision["word"], decision["exit_code"]) == ("inconclusive", 5)
    assert decision["conditions"][0]["needed_n"] >= 20
    assert "19 held-out prompts, and nothing can be concluded from fewer than 20" in decision["reason"]


def test_twenty_prompts_are_enough_to_be_heard() -> None:
    assert decide({"top1_agreement": share(0.65, 0.62, 0.68, n=20)}, {"top1_agreement": ">= 0.60"})["word"] == "ship"


def test_exact_figure_is_decided_on_its_value() -> None:
    figures = {"parameter_ratio": Figure(0.6, None, None, 1, "ratio")}
    assert decide(figures, {"parameter_ratio": "<= 0.6"})["word"] == "ship"
    assert decide(figures, {"parameter_ratio": "<= 0.59"})["word"] == "no ship"


@pytest.mark.parametrize("figures", [{}, {"kl_nats": Figure(math.nan, None, None, 60, "nats")}])
def test_what_was_not_measured_is_undecided_and_never_raises(figures: dict[str, Figure]) -> None:
    decision = decide(figures, {"kl_nats": "<= 0.9"})
    assert decision["word"] == "inconclusive"
    assert decision["reason"] == "KL divergence was not measured"
    assert decision["conditions"][0]["value"] is None
    json.dumps(decision, allow_nan=False)


def test_accept_that_asks_nothing_decides_nothing() -> None:
    assert decide(AGREES, {}) == {
        "word": "inconclusive",
        "exit_code": 0,
        "reason": "the recipe's accept: asks nothing",
        "conditions": [],
    }
