"""Learning curves of the stand-ins: what they reach, what they expect, and when there is not enough to say."""

from collections.abc import Sequence

import numpy as np
import pytest

from potstill.evaluate.learning_curve import Learn, by_labels, by_nearest, learning_curve

DRAWS = {"resamples": 300, "seed": 1}


def falling(a: float, b: float, c: float) -> Learn:
    draw = np.random.default_rng(0)

    def errors(learned: Sequence[int], asked: Sequence[int]) -> np.ndarray:
        return draw.binomial(1, a + b * len(learned) ** -c, len(asked)).astype(float)

    return errors


def test_it_goes_on_by_the_law() -> None:
    found = learning_curve(falling(0.1, 1.0, 0.5), 300, 3000, "a law", **DRAWS)
    assert found.sizes[-1] == 240
    assert len(found.sizes) == len(found.scores) == 5
    assert found.last is not None
    assert found.last.value == pytest.approx(found.scores[-1])
    assert found.expected is not None
    assert found.expected.low is not None
    assert found.expected.high is not None
    assert found.expected.low < 1 - (0.1 + 3000**-0.5) < found.expected.high
    assert found.expected_by_odds is not None
    assert found.expected_by_odds.value > found.expected.value  # it has no floor
    assert found.why == ""


def test_when_nothing_is_said() -> None:
    few = learning_curve(falling(0.1, 1.0, 0.5), 19, 300, "a law", **DRAWS)
    assert few.last is None
    assert few.why == "not enough data: 19 answered prompts, and it takes 20 or more"
    flat = learning_curve(falling(0.5, 0.0, 1.0), 60, 300, "a law", **DRAWS)
    assert flat.expected is None
    assert flat.last is not None
    assert "does not clearly get better" in flat.why
    enough = learning_curve(falling(0.1, 1.0, 0.5), 60, 40, "a law", **DRAWS)
    assert enough.expected is None
    assert "as many answers as the run" in enough.why


def test_the_classifier_learns_labels_and_is_held_to_what_is_wanted() -> None:
    prompts = [f"{'hammer' if at % 2 else 'harbour'} number {at}" for at in range(40)]
    labels = ["tool" if at % 2 else "place" for at in range(40)]
    learn = by_labels(prompts, labels, [(one,) for one in labels])
    assert learn(range(20), range(20, 40)).sum() == 0
    assert by_labels(prompts, [None] * 40, [("tool",)] * 40)(range(20), range(20, 40)).tolist() == [1.0] * 20
    swapped = by_labels(prompts, labels, [("place",) if one == "tool" else ("tool",) for one in labels])
    assert swapped(range(20), range(20, 40)).mean() == 1


def test_the_nearest_prompt_gives_its_answer() -> None:
    prompts = ["a red kettle", "a red kettle please", "the blue harbour", "the blue harbour please"]
    answers = ["A kettle boils water.", "A kettle boils water.", "Ships rest there.", "Boats lie at anchor."]
    errors = by_nearest(prompts, answers)([0, 2], [1, 3])
    assert errors[0] == 0
    assert 0.5 < errors[1] <= 1
