"""A server's own fields change what it answers, in whatever role: each stage that asks it reads them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.run import inputs

OWN = {"extra_body": {"effort": "low"}}


def made(folder: Path, teacher: dict[str, Any], judge: dict[str, Any]) -> Recipe:
    server = {"base_url": "http://localhost/v1", "model": "m"}
    (folder / "prompts.jsonl").write_text('{"prompt": "a"}\n')
    data = {
        "name": "t", "teacher": {"endpoint": server | teacher, "license": "apache-2.0"},
        "prompts": {"source": "prompts.jsonl", "grow": {"to": 9}},
        "screen": {"judge": {"endpoint": server | judge, "rubric": "True?", "minimum": 7, "license": "apache-2.0"}},
        "student": {"kind": "model", "model": "path:somewhere"},
        "train": {"objective": {"kind": "reverse_kl"}, "on_policy": {"fraction": 0.5}},
        "evaluate": {"judge": {"judges": [{"endpoint": server | judge, "license": "apache-2.0"}]}},
    }  # fmt: skip
    return recipe_from(data, folder, "t")


@pytest.mark.parametrize(
    ("reads", "teacher", "judge"),
    [
        (inputs.prompts, OWN, {}), (inputs.questions, OWN, {}), (inputs.train, OWN, {}), (inputs.screen, {}, OWN),
        (inputs.screen, {}, {"token_limit_field": "max_completion_tokens"}), (inputs.evaluate, {}, OWN),
        (inputs.evaluate, {}, {"token_limit_field": "max_completion_tokens"}),
    ],
)  # fmt: skip
def test_a_servers_own_fields_are_read_by_what_asks_it(
    reads: Callable[[Recipe], Mapping[str, Any]], teacher: dict[str, Any], judge: dict[str, Any], tmp_path: Path
) -> None:
    plain = reads(made(tmp_path, {}, {}))
    assert reads(made(tmp_path, teacher, judge)) != plain
    assert reads(made(tmp_path, {"extra_body": {}}, {"concurrency": 3})) == plain
