"""Potstill's own side, as people run it: prompts to journal to answers.parquet; a process a measurement."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from potstill.collect.endpoint import collect_endpoint
from potstill.config import Recipe, recipe_from
from potstill.progress import Meter, Silent
from potstill.records import Clearance, Message, Prompt, content_hash

CLEARANCE = Clearance("allowed", "benchmark", "none", "none", "none", "a server on loopback")
MAX_NEW_TOKENS = 300


def recipe(base_url: str, concurrency: int) -> Recipe:
    data = {
        "name": "benchmark",
        "teacher": {"endpoint": {
            "base_url": base_url, "model": "gpt-3.5-turbo", "concurrency": concurrency,
            "price_per_million": {"input": 1.0, "output": 2.0},
        }},
        "prompts": {"source": "unused.jsonl"},
        "collect": {"max_new_tokens": MAX_NEW_TOKENS},
        "student": {"kind": "scratch", "config": {"model_type": "llama"}},
    }  # fmt: skip
    return recipe_from(data, Path("/"), "benchmark")


def prompts(number: int) -> Iterator[Prompt]:
    for at in range(number):
        message = {"role": "user", "content": f"question {at}"}
        yield Prompt((Message(**message),), "train", f"benchmark:{at}", content_hash([message]))


class Timed(Silent):
    """Times the sending: from the first request to the last answer that is durable."""

    @contextmanager
    def meter(self, title: str, total: float, unit: str, done: float = 0) -> Iterator[Meter]:
        started = time.perf_counter()
        with super().meter(title, total, unit, done) as meter:
            yield meter
        self.seconds = time.perf_counter() - started


def speed(base_url: str, number: int, concurrency: int) -> dict[str, object]:
    reporter = Timed()
    asked = list(prompts(number))
    with tempfile.TemporaryDirectory(dir=".") as home:
        started = time.perf_counter()
        result = collect_endpoint(recipe(base_url, concurrency), CLEARANCE, asked, Path(home), reporter)
        whole_s = time.perf_counter() - started
    assert result.facts["answers"] == number, result.facts
    return {"rate": number / reporter.seconds, "whole": number / whole_s, "version": version("potstill")}


if __name__ == "__main__":
    print(json.dumps(speed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
