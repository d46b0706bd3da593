"""Several teachers in the recipe: who takes part, with what weight, who writes, and what is refused in one line."""

from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.errors import RecipeError

FIRST: dict[str, Any] = {"model": "path:./a"}
SECOND: dict[str, Any] = {"name": "b", "model": "path:./b", "weight": 3.0}
PROMPTS: dict[str, Any] = {"source": "prompts.jsonl", "tag": "job"}
STUDENT = {"kind": "model", "model": "path:./s"}


def make(*more: dict[str, Any], teacher: dict[str, Any] = FIRST, **sections: Any) -> Recipe:
    data = {"name": "x", "teacher": teacher, "more_teachers": list(more), "prompts": PROMPTS, "student": STUDENT}
    return recipe_from({**data, **sections}, Path("/base"), "recipe.yaml")


def test_weights_are_brought_to_a_sum_of_one_for_each_tag() -> None:
    recipe = make(SECOND, {"name": "c", "model": "path:./c", "tags": ["code"]})
    assert recipe.shares(None) == {"teacher": 0.25, "b": 0.75}
    assert recipe.shares("code") == {"teacher": 0.2, "b": 0.6, "c": 0.2}
    assert recipe.shares("other") == recipe.shares(None)
    assert recipe.more_teachers[1].model == "path:/base/c"


def test_the_first_that_takes_part_writes() -> None:
    recipe = make(
        SECOND, {"name": "c", "model": "path:./c", "tags": ["code"]}, teacher={**FIRST, "tags": ["sums", "code"]}
    )
    assert [recipe.writer(tag) for tag in ("sums", "code", None)] == ["teacher", "teacher", "b"]


def test_a_tag_without_a_teacher_is_named() -> None:
    recipe = make({**SECOND, "tags": ["code"]}, teacher={**FIRST, "tags": ["sums"]})
    with pytest.raises(
        RecipeError, match="no teacher takes part in prompts with the tag 'poems'; the teachers' tags are code, sums"
    ):
        recipe.shares("poems")
    with pytest.raises(RecipeError, match="prompts without a tag"):
        recipe.shares(None)


FULL = {"signals": {"kind": "full"}}
TOP_K = {"signals": {"kind": "top_k", "k": 5}}
TOKENS = {"objective": {"kind": "cross_entropy"}}


@pytest.mark.parametrize(
    ("more", "sections", "words"),
    [
        ([{**SECOND, "name": "student"}], {}, "a name of its own, and none of teacher, student"),
        ([SECOND, SECOND], {}, "a name of its own"),
        ([SECOND, {**SECOND, "name": "B"}], {}, "a name of its own"),
        ([{**SECOND, "name": "teacher"}], {}, "a name of its own"),
        ([{**SECOND, "name": "../b"}], {}, "more_teachers.0.name"),
        ([{**SECOND, "weight": 0}], {}, "more_teachers.0.weight"),
        (
            [{**SECOND, "tags": ["code"]}],
            {"prompts": {"source": "p"}},
            "b.tags: prompts.tag names no field",
        ),
        (
            [{"name": "b", "endpoint": {"base_url": "http://localhost/v1", "model": "m"}}],
            {},
            "more_teachers.b: an endpoint gives no distributions to mix",
        ),
        (
            [SECOND],
            {"teacher": {"endpoint": {"base_url": "http://localhost/v1", "model": "m"}}},
            "teacher: an endpoint gives no distributions to mix",
        ),
        (
            [SECOND],
            {"collect": FULL, "train": {"cross_tokenizer": True}},
            "cross_tokenizer: goes with one teacher",
        ),
        (
            [SECOND],
            {"collect": FULL, "train": {"hidden_states": {}}},
            "hidden_states: goes with one teacher",
        ),
        (
            [SECOND],
            {"collect": TOP_K, "train": {"objective": {"kind": "jsd"}}},
            "jsd from stored lists of several",
        ),
        ([SECOND], {"train": TOKENS}, "more_teachers.b: with cross_entropy only who writes is learned from"),
    ],
)
def test_what_does_not_go_together_is_one_line(more: list[Any], sections: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        make(*more, **sections)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_goes_by_tag_is_not_refused() -> None:
    apart = {**FIRST, "tags": ["sums"]}, {**SECOND, "tags": ["code"]}
    assert make(apart[1], teacher=apart[0], collect=TOP_K, train={"objective": {"kind": "jsd"}}).objective.kind == "jsd"
    assert make(apart[1], teacher=apart[0], train=TOKENS).objective.kind == "cross_entropy"
    assert make(SECOND, collect=FULL, train={"objective": {"kind": "jsd"}, "on_policy": {}}).train.on_policy
