"""A function of the user's own: found by file or module, held to its range, and every fault one line."""

import sys
from pathlib import Path

import pytest

from potstill.config import OwnMetric, Task
from potstill.errors import RecipeError
from potstill.evaluate.metrics import text_metrics
from potstill.evaluate.metrics.own import load_own

SOURCE = """
import dataclasses

@dataclasses.dataclass
class Kept:
    text: str

def short(answer, reference):
    return len(answer) <= len(reference)

def echo(answer, reference, prompt):
    return float(prompt in answer)

def raises(answer, reference):
    raise ValueError("no such\\n\\tkey")

def words(answer, reference):
    return "many"

def far(answer, reference):
    return 7

def nothing(answer, reference):
    return float("nan")

def alone(answer):
    return 1

constant = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_a_function_of_a_file_with_and_without_the_prompt(file: Path) -> None:
    task = Task(
        reference_field="answer",
        functions=(OwnMetric(function=f"{file}:short"), OwnMetric(function=f"{file}:echo", name="echoed")),
    )
    short, echoed = text_metrics(task)
    assert (short.name, echoed.name) == ("short", "echoed")
    assert short.best("abc", ["a", "abcd"], "") == 1
    assert echoed.best("it is a kettle", ["x"], "kettle") == 1
    assert short.source_sha256 == echoed.source_sha256
    assert len(short.source_sha256 or "") == 64


def test_a_function_of_a_module(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(file.parent)
    file.rename(file.parent / "own_metrics_of_a_test.py")
    score, sha256 = load_own(OwnMetric(function="own_metrics_of_a_test:short"))
    assert score("a", "b", "") == 1
    assert sha256
    sys.modules.pop("own_metrics_of_a_test")


def test_another_range_is_kept_to(file: Path) -> None:
    score, _ = load_own(OwnMetric(function=f"{file}:far", range=(0, 10)))
    assert score("a", "b", "") == 7


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "raised ValueError (no such key)"),
        ("words", "gave 'many', which is no number"),
        ("nothing", "gave nan, which is no number"),
        ("far", "gave 7, which is outside its range of 0 to 1"),
    ],
)
def test_what_a_function_does_wrong_is_one_line(file: Path, name: str, words: str) -> None:
    score, _ = load_own(OwnMetric(function=f"{file}:{name}"))
    with pytest.raises(RecipeError) as caught:
        score("a", "b", "c")
    assert str(caught.value) == f"evaluate.task.functions: {file}:{name}: {words}"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("metrics.py:absent", "has no function absent"),
        ("metrics.py:constant", "has no function constant"),
        ("metrics.py:alone", "must take (answer, reference) or (answer, reference, prompt)"),
        ("elsewhere.py:short", "elsewhere.py: no such file"),
        ("broken.py:short", "cannot be imported (SyntaxError:"),
    ],
)
def test_a_function_that_is_not_there_is_one_line(file: Path, function: str, words: str) -> None:
    (file.parent / "broken.py").write_text("def short(:", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"^evaluate\.task\.functions: .*") as caught:
        load_own(OwnMetric(function=f"{file.parent}/{function}"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_there_is_one_line() -> None:
    with pytest.raises(RecipeError, match=r"cannot be imported.*no_such_module"):
        load_own(OwnMetric(function="no_such_module_of_a_test:score"))
