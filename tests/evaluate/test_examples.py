"""Answers side by side: those spread over all, and the worst, by the task or by how far the student is."""

import numpy as np

from potstill.answers import Answer
from potstill.evaluate.examples import SideBySide
from potstill.evaluate.fidelity import Positions
from potstill.evaluate.grading import TaskResult
from potstill.evaluate.task import Graded
from potstill.rendering import Example


def side_by_side(kl: list[float], task: TaskResult | None = None, *, distributions: bool = True) -> SideBySide:
    """One answer of two positions a prompt, but the last two, which are of one prompt."""
    n = len(kl)
    held = [
        Answer(f"k{at}", f"p{min(at, n - 2)}", at, f"prompt {at}", f"teacher {at}", Example((1, 2, 3), 1))
        for at in range(n)
    ]
    values = np.repeat(np.array(kl), 2)
    found = Positions(np.full(n, 2), -values, -values, values, (values < 1).astype(float), values / 10)
    if not distributions:
        found = Positions(np.full(n, 2), -values)
    return SideBySide(held, found, [f"student {at}" for at in range(n)], [50.0] * n, None, task)


def graded(teacher: list[float], student: list[float], kept: list[int], n: int) -> TaskResult:
    scores = {
        "teacher": Graded({"token_f1": np.array(teacher), "bleu": np.array(teacher) * 100}),
        "student": Graded({"token_f1": np.array(student), "bleu": np.array(student) * 100}),
    }
    shown = [f"gold {at}" if at in kept else None for at in range(n)]
    return TaskResult({}, {}, shown, scores, kept, {"token_f1": (0.0, 1.0), "bleu": (0.0, 100.0)})


def asked(found: dict[str, object]) -> list[int]:
    examples = found["examples"]
    assert isinstance(examples, list)
    return [int(one["prompt"].split()[1]) for one in examples]


def test_spread_examples_go_from_the_closest_to_the_furthest() -> None:
    found = side_by_side([float(at) for at in range(40)][::-1]).spread()
    assert len(found) == 8
    assert [one["kl_nats"] for one in found] == sorted(one["kl_nats"] for one in found)
    assert (found[0]["prompt"], found[-1]["prompt"]) == ("prompt 39", "prompt 0")
    assert (found[0]["top1_agreement"], found[-1]["top1_agreement"]) == (1, 0)
    assert len(side_by_side([0.1, 0.2, 0.3]).spread()) == 3


def test_without_a_task_the_worst_are_the_furthest_and_of_different_prompts() -> None:
    found = side_by_side([0.1, 0.9, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]).worst()
    assert found["by"] == "kl_nats"
    assert asked(found) == [1, 8, 6, 5, 4, 3]  # 7 and 8 are of one prompt
    served = side_by_side([0.1, 0.9, 0.2], distributions=False).worst()
    assert (served["by"], asked(served)) == ("cross_entropy", [1, 0])
    assert served["examples"][0]["kl_nats"] is None


def test_an_answer_without_a_position_is_shown_without_figures() -> None:
    one = side_by_side([0.5, 0.1, 0.2])
    found = Positions(np.array([2, 0, 2]), one.positions.log_q[:4], kl=np.array([0.5, 0.5, 0.2, 0.2]))
    shown = SideBySide(one.held, found, one.answers, one.chrf, None, None).spread()
    assert [example["kl_nats"] for example in shown] == [None, 0.2, 0.5]


def test_with_a_task_the_worst_lose_most_against_the_teacher() -> None:
    """Right answers of the student, and what the teacher has wrong as well, are not among them."""
    task = graded([1, 1, 0, 1, 0.5], [0, 1, 0, 0.5, 1], [0, 1, 2, 4, 5], 8)
    found = side_by_side([0.1, 5, 6, 7, 0.2, 0.3, 0.4, 0.5], task).worst()
    assert (found["by"], asked(found)) == ("task", [0, 4])
    first = found["examples"][0]
    assert first["reference"] == "gold 0"
    assert first["scores"]["bleu"] == {"student": 0, "teacher": 100}
    assert (first["teacher"], first["student"]) == ("teacher 0", "student 0")


def test_equal_losses_are_ordered_by_divergence() -> None:
    task = graded([1] * 4, [0, 0, 1, 0], [0, 1, 2, 3], 6)
    assert asked(side_by_side([0.1, 3, 9, 1, 0, 0], task).worst()) == [1, 3, 0]


def test_where_the_student_loses_nothing_the_furthest_are_shown() -> None:
    task = graded([1] * 3, [1] * 3, [0, 1, 2], 4)
    found = side_by_side([0.1, 0.3, 0.2, 0.0], task).worst()
    assert (found["by"], asked(found)) == ("kl_nats", [1, 2, 0])
