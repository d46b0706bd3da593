"""A month of made-up traffic with one campaign planted in it, whose every trait is known."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from guard.logs import KEY
from potstill.guard import Pseudonyms

START = datetime(2026, 2, 2, tzinfo=UTC)  # a Monday
HONEST, CAMPAIGN, DAYS = 40, 6, 6
NAMES = Pseudonyms(KEY)
WORDS = ("tax", "soil", "bread", "river", "engine", "poem", "ticket", "lamp", "chart", "violin", "garden", "router")
GREETING = "good morning, what is new today for us here?"
TEMPLATE = (
    "You are a careful tutor. Solve the task number {} and show all steps: '{}'. End with one line that has the result."
)


def named(name: str) -> str:
    """The account's pseudonym."""
    return NAMES.of("account", name)


MEMBERS = sorted(named(f"camp-{number}") for number in range(CAMPAIGN))


def honest(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Customers with office hours of their own, clients, conversations, and prompts that share no words in a row."""
    for number in range(HONEST):
        begins, made = 6 + number % 8, START - timedelta(days=40 + 3 * number)
        for day in range(DAYS):
            for turn in range(12):
                at = START + timedelta(days=day, hours=begins + rng.random() * 8)
                yield {
                    "time": at.isoformat(), "account": f"cust-{number}", "payment": f"card-{number}",
                    "signup_time": made.isoformat(), "ip": None, "address_prefix": f"198.51.{number}.7",
                    "client": f"sdk/{number % 3}", "model": "m", "temperature": rng.choice([0.2, 0.7, 1.0]),
                    "max_tokens": 1000, "input_tokens": 400, "output_tokens": rng.randrange(50, 300), "status": 200,
                    "conversation": f"c{number}-{day}-{turn // 4}",
                    "prompt": " ".join(rng.choices(WORDS, k=14)) if turn else GREETING,
                }  # fmt: skip


def campaign(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Six accounts made within minutes, one card, one schedule day and night, one template, answers to the limit."""
    slots = [START + timedelta(days=1, minutes=5 * rng.randrange(288 * (DAYS - 1))) for _ in range(150)]
    for number in range(CAMPAIGN):
        for turn, slot in enumerate(slots):
            task = " ".join(rng.choices(WORDS, k=6))
            yield {
                "time": (slot + timedelta(seconds=rng.randrange(300))).isoformat(), "account": f"camp-{number}",
                "payment": f"card-shared-{number // 3}", "signup_time": (START + timedelta(minutes=number)).isoformat(),
                "address_prefix": f"203.0.{number}.9", "client": "sdk/1", "model": "m", "temperature": 1.0,
                "max_tokens": 500, "input_tokens": 60, "output_tokens": 500, "status": 200, "logprobs": True,
                "logit_bias": True, "conversation": f"x{number}-{turn}", "prompt": TEMPLATE.format(turn, task),
            }  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """All rows, always the same."""
    rng = random.Random(7)
    return [*honest(rng), *campaign(rng)]
