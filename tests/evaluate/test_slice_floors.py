"""Floors under the slices: only large ones have a say, together they are believed less, and who fails is named."""

from typing import Any

import pytest

from potstill.config import Condition
from potstill.evaluate.slice_floors import judge_floor
from potstill.stats import Interval, simultaneous

FLOOR = Condition(figure="retention.accuracy", operator=">=", threshold=0.9)


def row(name: str, value: float, low: float | None, high: float | None, n: int = 40, **more: Any) -> dict[str, Any]:
    figure = {"dimension": "label", "figure": "retention.accuracy", "value": value, "low": low, "high": high}
    return {"name": name, "n": n, **figure, **more}


GOOD = [row(f"good {at}", 0.99, 0.96, 1.02, 200) for at in range(4)]


def test_slices_below_are_named_and_no_others() -> None:
    found = judge_floor(FLOOR, [*GOOD, row("refund", 0.1, 0.02, 0.25), row("transfer", 0.0, 0.0, 0.1, 35)])
    assert found["met"] == "no"
    assert [one["name"] for one in found["missed"]] == ["label refund", "label transfer"]
    assert found["why"].startswith(
        "retention of accuracy is below the 90 % asked of every slice in label refund (10.0 %"
    )
    assert "label transfer (0.0 %" in found["why"]
    assert "35 prompts)" in found["why"]
    assert "good" not in found["why"]
    assert found["worst"]["name"] == "label transfer"
    assert found["slices"] == 6


def test_a_slice_of_29_prompts_has_no_say() -> None:
    found = judge_floor(FLOOR, [*GOOD, row("rare", 0.0, 0.0, 0.01, 29)])
    assert (found["met"], found["too_small"], found["slices"]) == ("yes", 1, 4)
    assert judge_floor(FLOOR, [*GOOD, row("rare", 0.0, 0.0, 0.01, 30)])["met"] == "no"


def test_together_slices_are_believed_less() -> None:
    """A slice that alone lies below does no longer where it is the worst of a hundred."""
    low = row("low", 0.8, 0.68, 0.89)
    assert judge_floor(FLOOR, [low])["met"] == "no"
    found = judge_floor(FLOOR, [low, *(row(f"good {at}", 0.99, 0.97, 1.01) for at in range(99))])
    assert found["met"] == "undecided"
    wide = simultaneous(Interval(0.8, 0.68, 0.89, 40), 100)
    assert (found["worst"]["low"], found["worst"]["high"]) == (wide.low, wide.high)


def test_an_open_slice_holds_back_only_what_the_recipe_asks() -> None:
    slices = [*GOOD, row("thin", 0.95, 0.8, 1.1)]
    asked = judge_floor(FLOOR, slices)
    assert asked["met"] == "undecided"
    assert asked["why"].startswith("retention of accuracy may be below the 90 % asked of every slice in label thin")
    assert asked["needed_n"] > 40
    by_default = judge_floor(FLOOR, slices, only_shown=True)
    assert (by_default["met"], by_default["needed_n"]) == ("yes", None)
    assert by_default["why"] == (
        "retention of accuracy is not shown to be below the 90 % asked of every slice in any of 5 slices of at least "
        "30 prompts"
    )
    assert judge_floor(FLOOR, GOOD)["why"].startswith("retention of accuracy is on the right side of the 90 %")


@pytest.mark.parametrize("slices", [[], [row("x", 0.5, 0.4, 0.6, figure="chrf")], [row("small", 0.5, 0.4, 0.6, 3)]])
def test_without_slices_nothing_is_proven(slices: list[dict[str, Any]]) -> None:
    assert judge_floor(FLOOR, slices)["met"] == "undecided"
    assert judge_floor(FLOOR, slices, only_shown=True)["met"] == "yes"
    assert judge_floor(FLOOR, slices)["why"] == "no slice of at least 30 prompts has a retention of accuracy"


def test_a_slice_without_an_interval_is_undecided() -> None:
    found = judge_floor(FLOOR, [row("odd", 0.2, None, None)])
    assert (found["met"], found["needed_n"]) == ("undecided", None)


def test_a_ceiling_is_a_floor_the_other_way_round() -> None:
    ceiling = Condition(figure="retention.accuracy", operator="<=", threshold=0.9)
    found = judge_floor(ceiling, [row("over", 0.99, 0.96, 1.02), row("under", 0.5, 0.4, 0.6)])
    assert [one["name"] for one in found["missed"]] == ["label over"]
    assert found["worst"]["name"] == "label over"
    assert "above the 90 % asked" in found["why"]


def test_more_than_five_are_counted() -> None:
    found = judge_floor(FLOOR, [row(f"bad {at}", 0.1, 0.05, 0.2) for at in range(8)])
    assert found["why"].endswith("and 3 more slices")
    assert len(found["missed"]) == 8
