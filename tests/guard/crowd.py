"""A week of made-up customers who mind their own business, and beside them honest ones who look like a campaign."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAYS = 7
LETTERS = "abcdefghijklmnopqrstuvwxyz"
FIXED = [f"Please say in one short sentence what the word number {word} means to you." for word in range(6)]


def said(rng: random.Random) -> str:
    """A prompt like nobody else's."""
    return " ".join("".join(rng.choices(LETTERS, k=5)) for _ in range(14))


def event(name: str, at: datetime, rng: random.Random, **other: Any) -> dict[str, Any]:
    """One request of an ordinary customer; what is given comes in its place."""
    made = START - timedelta(days=5 + sum(name.encode()) % 300, minutes=sum(name.encode()) * 7 % 1440)
    return {
        "time": at.isoformat(), "account": name, "payment": f"card-{name}", "plan": "pro", "key": f"key-{name}",
        "signup_time": made.isoformat(), "address_prefix": f"198.{sum(name.encode()) % 200}.{len(name)}.7",
        "client": f"sdk/{rng.randrange(3)}", "model": "m", "max_tokens": 1000, "input_tokens": 400,
        "output_tokens": rng.randrange(50, 300), "status": 200, "conversation": f"{name}-{at:%d%H}",
        "prompt": said(rng), **other,
    }  # fmt: skip


def by_day(rng: random.Random, count: int, begins: int = 7, hours: int = 9, days: int = DAYS) -> Iterator[datetime]:
    """Times in office hours."""
    for _ in range(count):
        yield START + timedelta(days=rng.randrange(days), hours=begins + rng.random() * hours)


def customers(rng: random.Random, count: int = 70, requests: int = 40) -> Iterator[dict[str, Any]]:
    """Ordinary ones, some of whom work at night."""
    for number in range(count):
        for at in by_day(rng, requests, begins=6 + number % 9):
            yield event(f"cust-{number}", at, rng)


def group(
    rng: random.Random, name: str, size: int, times: list[datetime], jitter_s: float, **same: Any
) -> Iterator[dict[str, Any]]:
    """Accounts that act at the same times; `%` in a prompt is a number."""
    for number in range(size):
        for turn, at in enumerate(times):
            one = event(f"{name}-{number}", at + timedelta(seconds=rng.random() * jitter_s), rng, **same)
            if "prompt" in same:
                one["prompt"] = same["prompt"].replace("%", f"{rng.randrange(10**6)}")
            one["conversation"] = f"{name}-{number}-{turn if same.get('max_tokens') == 500 else turn // 3}"
            yield one


def any_time(rng: random.Random, count: int) -> list[datetime]:
    """Times day and night."""
    return [START + timedelta(minutes=5 * rng.randrange(288 * DAYS)) for _ in range(count)]


def lessons(days: int = 5) -> list[datetime]:
    """Three quarters of an hour each working day."""
    return [START + timedelta(days=day, hours=10, minutes=8 * turn) for day in range(days) for turn in range(5)]


HARD = (
    "nightly_evaluation", "licensed_distillation", "ci_agents", "retrieval_backfill", "fallback_router",
    "drift_monitor", "team_key", "gateway", "day_one_benchmarking", "classroom", "narrow_saas", "reseller",
)  # fmt: skip


def hard_negative(name: str, rng: random.Random) -> Iterator[dict[str, Any]]:
    """One of them, with accounts that begin with its name."""
    nights = [START + timedelta(days=day, hours=2, minutes=turn) for day in range(DAYS) for turn in range(12)]
    extracts = {"max_tokens": 500, "output_tokens": 500, "input_tokens": 60}
    match name:
        case "nightly_evaluation":
            for one in group(rng, name, 2, nights, 5, organization="lab", payment="card-lab", max_tokens=200):
                yield {**one, "prompt": FIXED[int(one["time"][14:16]) % 6]}
        case "licensed_distillation":
            prompt = "Write the answer of a patient tutor to the exercise number % and explain every step of it."
            yield from group(
                rng, name, 6, any_time(rng, 100), 60, organization="licensee", payment="card-licensee", prompt=prompt,
                **extracts,
            )  # fmt: skip
        case "ci_agents":
            times = sorted(by_day(rng, 40))
            prompt = "Run the tests of commit % and tell me which of them fail and why they do."
            yield from group(rng, name, 5, times, 90, organization="builder", payment="card-builder", prompt=prompt)
        case "retrieval_backfill":
            for one in group(rng, name, 1, any_time(rng, 600), 60, **extracts):
                yield {**one, "prompt": f"Summarise the document in three short lines for our archive: {said(rng)}"}
        case "fallback_router":
            outages = [START + timedelta(days=day, hours=5 * day % 24, minutes=3 * one) for day in (1, 3, 5)
                       for one in range(15)]  # fmt: skip
            yield from group(rng, name, 4, outages, 100)
        case "drift_monitor":
            hourly = [START + timedelta(hours=hour, minutes=17) for hour in range(24 * DAYS)]
            for one in group(rng, name, 4, hourly, 40, client="monitor/2", max_tokens=200):
                yield {**one, "prompt": FIXED[int(one["time"][11:13]) % 6]}
        case "team_key" | "gateway":
            for one in group(rng, name, 1, list(by_day(rng, 400)), 60):
                yield {**one, "address_prefix": f"203.0.{rng.randrange(40)}.1", "client": f"sdk/{rng.randrange(12)}"}
        case "day_one_benchmarking":
            times = [START + timedelta(days=4, minutes=rng.random() * 300) for _ in range(100)]
            yield from group(
                rng, name, 4, times, 20_000, model="new", max_tokens=1000, output_tokens=400,
                prompt="Question %: which of the four choices A, B, C or D is right? Give the letter only.",
            )  # fmt: skip
        case "classroom":
            made = (START + timedelta(hours=9)).isoformat()
            for one in group(
                rng, name, 12, lessons(), 200, signup_time=made, address_prefix="192.0.2.1", payment=None,
                prompt="Help me with my essay about the book that we read, part %, please do not write it for me.",
            ):  # fmt: skip
                yield one
        case "narrow_saas":
            prompt = "You name the colours of a garden. Give five names for flower number % and nothing else."
            yield from group(rng, name, 1, list(by_day(rng, 500, 0, 24)), 60, prompt=prompt, **extracts)
        case "reseller":
            for number in range(8):
                for at in by_day(rng, 40, begins=5 + number):
                    yield event(f"{name}-{number}", at, rng, payment="card-reseller")


def fleet(rng: random.Random, size: int = 9, requests: int = 110, cover: float = 0.5) -> Iterator[dict[str, Any]]:
    """A campaign: three cards, one template, common minutes, and as much unrelated traffic as `cover` says."""
    times = any_time(rng, int(requests * (1 - cover)))
    prompt = "Solve problem number % and write down the full chain of thought that led to the answer you give."
    for one in group(rng, "fleet", size, times, 120, prompt=prompt, max_tokens=500, output_tokens=500, input_tokens=60):
        yield {**one, "payment": f"card-fleet-{int(one['account'][6:]) % 3}"}
    for number in range(size):
        for at in by_day(rng, int(requests * cover), 0, 24):
            yield event(f"fleet-{number}", at, rng, payment=f"card-fleet-{number % 3}")


def large_campaign(rng: random.Random, size: int = 24, requests: int = 60) -> Iterator[dict[str, Any]]:
    """A fifth of the customers of a small log: one template, six cards, no common minutes, half of it cover traffic."""
    for number in range(size):
        for turn, at in enumerate(any_time(rng, requests)):
            at += timedelta(seconds=rng.random() * 300)
            one = event(f"large-{number}", at, rng, payment=f"card-large-{number % 6}")
            if turn % 2:
                said_here = f"Work out exercise number {rng.randrange(10**6)} for a reader who is new to it, please."
                one |= {"prompt": said_here, "max_tokens": 500, "output_tokens": 500, "input_tokens": 60}
            yield one


def rows(campaign: bool = True, hard: tuple[str, ...] = HARD, seed: int = 11) -> list[dict[str, Any]]:
    """All rows, always the same."""
    rng = random.Random(seed)
    found = [*customers(rng)]
    for name in hard:
        found += hard_negative(name, rng)
    return found + (list(fleet(rng)) if campaign else [])
