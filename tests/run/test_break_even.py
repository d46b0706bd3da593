"""From how many requests a month on the student pays: by hand, and what is said where something is not known."""

from collections.abc import Callable
from typing import Any

import pytest

from potstill.config import Recipe
from potstill.run.break_even import break_even

Make = Callable[..., Recipe]
ENDPOINT: dict[str, Any] = {"base_url": "http://localhost:9/v1", "model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
PRICES = {"input": 2.0, "output": 10.0, "batch_discount": 0.5}
STUDENT = {"kind": "model", "model": "path:./student"}
USAGE = [(100, 0, 50), (300, 0, 50), (200, 0, 50), (200, 0, 50)]  # 0.0007, 0.0011, 0.0009 and 0.0009 USD


def served(recipe: Make, priced: bool = True, **sections: Any) -> Recipe:
    endpoint = ENDPOINT | ({"price_per_million": PRICES} if priced else {})
    return recipe(teacher={"endpoint": endpoint}, student=STUDENT, **sections)


def test_by_hand(recipe: Make) -> None:
    serving = {"usd_per_month": 60, "training_usd_per_hour": 2, "months": 10}
    found = break_even(served(recipe, serving=serving), USAGE, 1000, training_h=5)
    assert found.requests == pytest.approx((60 + (0.0009 * 1000 + 5 * 2) / 10) / 0.0009)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.requests < found.high
    assert "from about 67,878 requests a month" in found.words
    assert "$0.90 of answers and $10.00 of training for 5.0 h" in found.words
    # A student that is paid for by the token costs something each time, and batches cost half.
    serving = {"price_per_million": {"input": 1, "output": 1}}
    found = break_even(served(recipe, serving=serving, collect={"mode": "batch"}), USAGE, 1000, training_h=5)
    assert found.requests == pytest.approx(0.45 / 12 / (0.0009 - 0.00025))
    assert "training is not counted: serving.training_usd_per_hour is not in the recipe" in found.words


def test_what_is_not_known_is_called_so(recipe: Make) -> None:
    serving = {"usd_per_month": 60, "training_usd_per_hour": 2}
    for asked, usage, words in (
        (recipe(), USAGE, "unknown (the teacher is local"),
        (served(recipe, priced=False, serving=serving), USAGE, "unknown (teacher.endpoint.price_per_million"),
        (served(recipe), USAGE, "unknown (what serving the student costs"),
        (served(recipe, serving=serving), [], "unknown (the server does not tell"),
        (served(recipe, serving={"price_per_million": {"input": 9, "output": 9}}), USAGE, "never: a request costs"),
    ):
        found = break_even(asked, usage, 1000, 5)
        assert found.requests is None
        assert found.words.startswith(words)
    found = break_even(served(recipe, serving=serving), USAGE, 1000, None)
    assert "its time is unknown until the models are fetched" in found.words
    unsure = break_even(served(recipe, serving=serving), [(1, 0, 1), (100_000, 0, 1)], 1000, None)
    assert unsure.high is None
    assert "to no upper end" in unsure.words
