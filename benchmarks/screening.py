"""Screening without a judge: seconds and peak memory for 100,000 answers of 1,000 characters, screen by screen and all.

    make benchmark-screening

The answers are JSON objects with the words of Potstill's own documents in random order, one in a hundred a copy of
another, so that hardly one is left out early and every screen has all of them to look at; the evaluation set is
GSM8K's size. Each row is a process of its own.
"""

import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from potstill.collect.screening import screen
from potstill.config import Endpoint, recipe_from
from potstill.models.http import Sampling, request_body
from potstill.progress import Silent
from potstill.records import Message, Prompt, Reply, content_hash
from potstill.store.journal import Finish, Journal, make_request

ANSWERS, SET_ROWS, CHARACTERS = 100_000, 8_792, 1_000
DOCUMENTS = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
ENDPOINT = Endpoint(base_url="http://localhost/v1", model="m")
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
EACH: dict[str, dict[str, Any]] = {
    "refusals": {"refusals": True},
    "languages": {"languages": ["en"]},
    "repeated n-grams": {"repeated_ngrams": {}},
    "JSON schema": {"json_schema": SCHEMA},
    "near duplicates among all": {"near_duplicates": {"among": "all"}},
    "contamination": {"contamination": True},
}
CASES = {
    "what the reply says, exact duplicates": {},
    **EACH,
    "all of them": {name: one for section in EACH.values() for name, one in section.items()},
}


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        started = time.perf_counter()
        write_answers(folder)
        print(
            f"{ANSWERS:,} answers of some {CHARACTERS:,} characters, written in {time.perf_counter() - started:.0f} s"
        )
        print(f"{'':>40} {'seconds':>8} {'ms an answer':>13} {'peak MB':>8} {'left out':>9}")
        for name in CASES:
            command = [sys.executable, __file__, name, place]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            each = 1e3 * found["s"] / ANSWERS
            print(f"{name:>40} {found['s']:8.1f} {each:13.3f} {found['mb']:8.0f} {found['left_out']:9,}", flush=True)


def measure(name: str, folder: Path) -> None:
    section = dict(CASES[name])
    if section.pop("contamination", False):
        section["contamination"] = [{"source": str(folder / "set.jsonl"), "field": "q"}]
    recipe = recipe_from(
        {
            "name": "t", "teacher": {"endpoint": {"base_url": "http://localhost/v1", "model": "m"}},
            "prompts": {"source": "unused.jsonl"}, "screen": section,
            "student": {"kind": "scratch", "config": {"model_type": "llama"}},
        },
        folder, "benchmark",
    )  # fmt: skip
    started = time.perf_counter()
    facts = screen(recipe, None, folder, Silent()).facts
    seconds = time.perf_counter() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": seconds, "mb": peak_mb, "left_out": sum(facts["left_out"].values())}))


def write_answers(folder: Path) -> None:
    dice = random.Random(0)
    words = sorted({word for path in DOCUMENTS for word in re.findall("[a-z]{2,}", path.read_text(encoding="utf-8"))})
    length = sum(map(len, words)) / len(words) + 1

    def text(characters: int) -> str:
        return " ".join(dice.choices(words, k=round(characters / length)))

    with (folder / "set.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"q": text(300)}) + "\n" for _ in range(SET_ROWS))
    with Journal(folder / "answers.sqlite") as journal:
        requests, replies = [], []
        for at in range(ANSWERS):
            messages = (Message("user", f"{text(60)} {at}"),)
            prompt = Prompt(messages, "holdout" if at % 10 == 0 else "train", "", content_hash(at))
            requests.append(make_request(prompt, 0, request_body(ENDPOINT, messages, Sampling(0.7, 1.0, 256, 0))))
            copied = replies and dice.random() < 0.01
            replies.append(dice.choice(replies) if copied else Reply(json.dumps({"text": text(CHARACTERS)}), "stop"))
        journal.add(requests)
        journal.finish_many(Finish(one.key, reply, "ok") for one, reply in zip(requests, replies, strict=True))


if __name__ == "__main__":
    measure(sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 1 else main()
