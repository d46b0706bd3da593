"""Teacher and student side by side: which prompts, how they are asked, and what an endpoint's side shows."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rooms import Rooms

from potstill.config import Recipe
from potstill.errors import PotstillError
from potstill.records import Reply
from potstill.run import compare, run_recipe
from potstill.store.journal import Finish, Journal, make_request
from potstill.store.prompts import read_prompts

Make = Callable[..., Recipe]


class FakeModel:
    """Answers with its folder's name and the number of characters that it was asked."""

    context_tokens = 100
    asked: list[dict[str, Any]] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.tokenizer = SimpleNamespace(chat_template=None, decode=self._decode)

    def _decode(self, tokens: Sequence[int], skip_special_tokens: bool) -> str:
        return f"{self.name} {tokens[0]}"

    @classmethod
    def load(cls, folder: Path) -> "FakeModel":
        return cls(folder)

    def generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[Any]:
        self.asked.append({"prompts": prompts, **options})
        reason = "length" if options["max_new_tokens"] > 1 else "stop"
        return [SimpleNamespace(tokens=(len(one), 0, 0), finish_reason=reason) for one in prompts]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    fake = ModuleType("potstill.models.local")
    fake.LocalModel = FakeModel
    monkeypatch.setitem(sys.modules, "potstill.models.local", fake)
    monkeypatch.setattr("potstill.models.fetch.fetch", lambda *arguments: tmp_path / "teacher")
    monkeypatch.setattr(
        "potstill.rendering.render_prompt", lambda _, messages, __: [0] * sum(len(one.content) for one in messages)
    )
    FakeModel.asked.clear()
    return FakeModel.asked


def test_held_out_prompts_are_taken_where_none_is_given(
    rooms: Rooms, models: list[dict[str, Any]], recipe: Make, tmp_path: Path
) -> None:
    folder = run_recipe(recipe(collect={"max_new_tokens": 7, "seed": 5}), tmp_path / "run")
    held = [one.messages[0].content for one in read_prompts(folder / "prompts.parquet") if one.split == "holdout"]
    found = compare(folder)
    assert [one.prompt for one in found] == held
    assert [one.teacher.text for one in found] == [f"teacher {len(word)}" for word in held]
    assert [one.student.text for one in found] == [f"student {len(word)}" for word in held]
    assert all(one.student.tokens_per_s and one.student.tokens_per_s > 0 for one in found)
    assert found[0].student.note == "cut at collect.max_new_tokens"
    assert [one["max_new_tokens"] for one in models] == [1, 7, 7, 1, 7, 7]
    assert {tuple(one["seeds"]) for one in models} == {(5,)}


def test_a_prompt_of_ones_own_comes_after_system_message_and_examples(
    rooms: Rooms, models: list[dict[str, Any]], recipe: Make, tmp_path: Path
) -> None:
    section = {
        "source": "prompts.jsonl", "holdout": 0.2, "system": "12345", "examples": [{"prompt": "123", "answer": "12"}],
    }  # fmt: skip
    folder = run_recipe(recipe(prompts=section, collect={"max_new_tokens": 7}), tmp_path / "run")
    [one] = compare(folder, "1234")
    assert (one.prompt, one.student.text) == ("1234", "student 14")
    with pytest.raises(PotstillError, match="more than the model's context of 100"):
        compare(folder, "x" * 90)


def test_an_endpoint_is_not_asked_again(
    rooms: Rooms, models: list[dict[str, Any]], recipe: Make, tmp_path: Path
) -> None:
    endpoint = {"base_url": "http://localhost:9/v1", "model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    student = {"kind": "model", "model": "path:./student"}
    served = recipe(teacher={"endpoint": endpoint}, student=student, collect={"max_new_tokens": 7})
    folder = run_recipe(served, tmp_path / "run")
    first, second = [one for one in read_prompts(folder / "prompts.parquet") if one.split == "holdout"]
    with Journal(folder / "answers.sqlite") as journal:
        request = make_request(first, 0, {"model": "m"})
        journal.add([request])
        journal.finish(Finish(request.key, Reply("recorded words", "stop"), "ok"))
    one, other = compare(folder)
    assert (one.teacher.text, one.teacher.note, one.teacher.tokens_per_s) == ("recorded words", "recorded", None)
    assert (other.prompt, other.teacher.text) == (second.messages[0].content, "")
    assert "no answer of it" in other.teacher.note
    assert "not asked again" in compare(folder, "another")[0].teacher.note
