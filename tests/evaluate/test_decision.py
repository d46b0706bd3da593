"""The decision: three words, on the unfavourable end, and never more than the evidence holds."""

import json
import math
from typing import Any

import numpy as np
import pytest

from potstill.config import read_accept
from potstill.evaluate.decision import decide, decide_asked
from potstill.records import Figure
from potstill.stats import clopper_pearson, needed_n, ratio_of_sums, wilson


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


@pytest.mark.parametrize(
    ("figure", "begins"),
    [
        (
            "parameter_ratio",
            "number of parameters is 0.632× (95 % interval 0.620 to 0.640×), at most the 0.65× asked for",
        ),
        (
            "probe.new_refusals",
            "the rate of new refusals is 63.15 % (95 % interval 62.00 to 64.00 %), at most the 65 % asked for",
        ),
    ],
)
def test_a_reason_is_a_sentence(figure: str, begins: str) -> None:
    assert decide({figure: Figure(0.63155, 0.62, 0.64, 60, "")}, {figure: "<= 0.65"})["reason"] == begins


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


def test_a_value_all_but_on_the_threshold_is_not_promised_a_number() -> None:
    far = decide({"top1_agreement": share(0.602, 0.562, 0.642)}, {"top1_agreement": ">= 0.60"})
    near = decide({"top1_agreement": share(0.6001, 0.5601, 0.6401)}, {"top1_agreement": ">= 0.60"})
    assert 20_000 < far["conditions"][0]["needed_n"] < 100_000 < near["conditions"][0]["needed_n"]
    assert far["reason"].endswith("; about 50,000 held-out prompts would decide it")
    assert near["reason"].endswith("; only more than 100,000 held-out prompts would decide it")


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


def kept(value: float, low: float, high: float, n: int = 200) -> Figure:
    return Figure(value, low, high, n, "student / teacher")


def test_without_accept_the_student_must_be_no_worse_than_its_teacher() -> None:
    good = decide({"retention.accuracy": kept(0.99, 0.975, 1.01)}, None, ("accuracy",))
    assert (good["word"], good["exit_code"]) == ("ship", 0)
    assert [(one["figure"], one["threshold"]) for one in good["conditions"]] == [("retention.accuracy", 0.97)]
    assert [(one["figure"], one["threshold"]) for one in good["floors"]] == [("retention.accuracy", 0.91)]
    assert "the recipe has no accept:" in good["reason"] or good["reason"].startswith("all 2 conditions hold")
    assert "no accept:" in good["defaults"]
    bad = decide({"retention.accuracy": kept(0.9, 0.85, 0.95)}, None, ("accuracy",))
    assert (bad["word"], bad["exit_code"]) == ("no ship", 3)
    assert bad["reason"].endswith("below the 97 % asked for (asked by default, because the recipe has no accept:)")


def test_without_accept_and_task_agreement_is_read_against_the_teachers_own() -> None:
    figures = {"chrf": Figure(99, 98, 99.5, 60, "0 to 100"), "retention.chrf_again": kept(1.01, 0.98, 1.04, 60)}
    assert decide(figures, None)["word"] == "ship"
    assert decide(figures | {"retention.chrf_again": kept(0.8, 0.7, 0.9, 60)}, None)["word"] == "no ship"
    asked = read_accept(None)
    open_ = decide_asked({"chrf": figures["chrf"]}, asked, unmeasured={"chrf_again": "nobody asked again"})
    assert (open_["word"], open_["exit_code"]) == ("inconclusive", 5)
    assert open_["reason"].startswith(
        "retention of chrF with the teacher asked again was not measured: nobody asked again"
    )


def test_twenty_rows_are_inconclusive_and_say_how_many_would_do() -> None:
    """As measured on 20 held-out prompts of which the teacher is right on 19 and the student on the same but one."""
    right = np.arange(20) < 19
    teacher, student = right.astype(float), right.astype(float)
    student[18], student[19] = 0, 1
    found = ratio_of_sums(student, teacher)
    assert found.low is not None
    assert found.high is not None
    decision = decide({"retention.accuracy": kept(found.value, found.low, found.high, 20)}, None, ("accuracy",))
    (condition,) = decision["conditions"]
    assert (decision["word"], decision["exit_code"]) == ("inconclusive", 5)
    assert condition["needed_n"] == needed_n(found.value, found.low, found.high, 20, 0.97) > 100
    assert "held-out prompts would decide it" in decision["reason"]


def test_twenty_rows_all_right_say_how_many_of_their_kind_would_do() -> None:
    """Where all prompts say the same, the interval shrinks faster than by the root of their number."""

    def retention(n: int) -> Figure:
        unseen = clopper_pearson(0, n).high
        assert unseen is not None
        return kept(1.0, 1 - unseen, 1 + unseen, n)

    def decided(n: int) -> dict[str, Any]:
        return decide({"retention.accuracy": retention(n)}, None, ("accuracy",))

    assert decided(20)["conditions"][0]["needed_n"] == 122
    assert (decided(121)["word"], decided(122)["word"]) == ("inconclusive", "ship")
    # A share at its edge, with Wilson's interval, is near enough.
    found = wilson(20, 20)
    accuracy = Figure(found.value, found.low, found.high, 20, "share")
    needed = decide({"accuracy": accuracy}, {"accuracy": ">= 0.97"}, ("accuracy",))["conditions"][0]["needed_n"]
    at = next(n for n in range(20, 1000) if (low := wilson(n, n).low) is not None and low >= 0.97)
    assert needed == pytest.approx(at, rel=0.15)


def slice_row(name: str, value: float, low: float, high: float, n: int = 40) -> dict[str, Any]:
    figure = {"figure": "retention.accuracy", "value": value, "low": low, "high": high}
    return {"dimension": "label", "name": name, "n": n, **figure}


def test_the_worst_slice_counts_and_not_only_the_mean() -> None:
    """Two of eighty labels are swapped: the mean keeps 97.5 %, and the two are named."""
    figures = {"retention.accuracy": kept(0.975, 0.971, 0.98, 3200)}
    slices = [slice_row(f"label {at}", 1.0, 0.97, 1.03) for at in range(78)]
    slices += [slice_row("refund", 0.02, 0.0, 0.1), slice_row("transfer", 0.0, 0.0, 0.08)]
    decision = decide(figures, None, ("accuracy",), slices=slices)
    assert (decision["word"], decision["exit_code"]) == ("no ship", 3)
    assert "label refund (2.0 %" in decision["reason"]
    assert "label transfer (0.0 %" in decision["reason"]
    assert decision["reason"].count("label ") == 2
    assert decide(figures, None, ("accuracy",), slices=slices[:78])["word"] == "ship"
    # The floor of a recipe is proven for every slice, or nothing is decided.
    accept: dict[str, Any] = {"retention.accuracy": ">= 0.97", "slices": {"retention.accuracy": ">= 0.9"}}
    assert decide(figures, accept, ("accuracy",), slices=slices)["word"] == "no ship"
    assert decide(figures, accept, ("accuracy",), slices=slices[:78])["word"] == "ship"
    thin = [*slices[:78], slice_row("thin", 0.95, 0.85, 1.05)]
    assert decide(figures, accept, ("accuracy",), slices=thin)["word"] == "inconclusive"
    assert decide(figures, None, ("accuracy",), slices=thin)["word"] == "ship"


def test_a_mean_that_fails_does_not_hide_the_slices() -> None:
    figures = {"retention.accuracy": kept(0.6, 0.5, 0.7), "kl_nats": Figure(2, 1.9, 2.1, 200, "nats")}
    slices = [slice_row("refund", 0.02, 0.0, 0.1), slice_row("transfer", 0.0, 0.0, 0.08), slice_row("fee", 1, 0.97, 1)]
    accept: dict[str, Any] = {
        "retention.accuracy": ">= 0.97", "kl_nats": "<= 1", "slices": {"retention.accuracy": ">= 0.9"}
    }  # fmt: skip
    reason = decide(figures, accept, ("accuracy",), slices=slices)["reason"]
    assert reason.startswith("retention of accuracy is 60.00 %")
    assert "label refund" in reason
    assert "label transfer" in reason
    assert reason.endswith("(and 1 more is missed)")
