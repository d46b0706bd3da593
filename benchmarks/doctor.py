"""The doctor on a large log: seconds and memory for 100,000 exchanges of three jobs, made up from the words of docs/.

make benchmark-doctor
"""

import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from potstill.doctor import examine

EXCHANGES = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
JOBS = ("summaries", "support", "titles")
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {
    "word": {"type": "string"}}}}}  # fmt: skip


def write_log(path: Path) -> None:
    """A chat log with some 70 words asked and some 50 answered, and tools, in every exchange."""
    pages = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
    words = " ".join(page.read_text(encoding="utf-8") for page in pages).split()
    draw = random.Random(0)

    def passage() -> str:
        return " ".join(draw.choices(words, k=draw.randrange(20, 80)))

    with path.open("w", encoding="utf-8") as file:
        for number in range(EXCHANGES):
            job = draw.choice(JOBS)
            system = f"You work on {job}. Answer in one paragraph and stay with the facts."
            asked = f"Please treat the following text number {number}: {passage()}"
            messages = [{"role": "system", "content": system}, {"role": "user", "content": asked}]
            choice = {"message": {"role": "assistant", "content": passage()}, "finish_reason": "stop"}
            row = {
                "timestamp": 1_760_000_000 + number,
                "metadata": {"feature": job},
                "request": {"model": "big", "messages": messages, "tools": [TOOL]},
                "response": {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 80}},
            }
            file.write(json.dumps(row) + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        write_log(path)
        started, began = time.perf_counter(), time.process_time()
        found = examine([path]).diagnosis
        seconds, cpu = time.perf_counter() - started, time.process_time() - began
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)
        size_mb = path.stat().st_size / 1e6
    print(
        f"{found.exchanges:,} exchanges, {size_mb:,.0f} MB: {seconds:,.0f} s, of which {cpu:,.0f} s of one core, "
        f"{peak_mib:,.0f} MiB at most; usable {found.total('usable'):,}"
    )


if __name__ == "__main__":
    main()
