"""What a run will cost and has cost: bounds, estimates from answers, and the report's lines."""

from pathlib import Path

import pytest

from potstill.config import Prices
from potstill.evaluate.reporting.costs import costs_section
from potstill.models.http import cost_usd
from potstill.records import Prompt, Reply
from potstill.run.cost import Cost, Recorded, bounds, recorded, usd
from potstill.store.journal import Finish, Journal, make_request

PRICES = Prices(input=1.4, cached_input=0.26, output=4.4)


def test_row_8_cached_tokens_cost_less() -> None:
    reply = Reply("x", "stop", input_tokens=27147, cached_tokens=27146, output_tokens=351)
    assert cost_usd(reply, PRICES) == pytest.approx(0.00860376)
    half = Prices(input=1.4, cached_input=0.26, output=4.4, batch_discount=0.5).in_batches
    assert cost_usd(reply, half) == pytest.approx(0.00860376 / 2)
    assert cost_usd(reply, None) is None


def test_bounds_hold_every_answer_between_one_token_and_the_limit() -> None:
    least, most = bounds(PRICES, 1000, 10, 50)
    assert least == pytest.approx((1000 * 0.26 + 10 * 4.4) / 1e6)
    assert most == pytest.approx((1000 * 1.4 + 10 * 50 * 4.4) / 1e6)


def test_answers_that_are_there_estimate_the_others(tmp_path: Path) -> None:
    prompts = [Prompt((), "train", "test", f"hash{at}") for at in range(20)]
    with Journal(tmp_path / "answers.sqlite") as journal:
        requests = [make_request(one, 0, {"model": "m", "about": one.hash}, "http://h") for one in prompts]
        journal.add(requests)
        replies = [Reply("x", "stop", input_tokens=10, output_tokens=5 + at % 2) for at in range(20)]
        journal.finish_many(Finish(one.key, reply, "ok") for one, reply in zip(requests, replies, strict=True))
        journal.finish_many([])
    found = recorded(tmp_path / "answers.sqlite", {one.hash for one in prompts[:12]}, PRICES)
    assert (found.answers, found.priced) == (12, 12)
    assert found.mean_usd == pytest.approx((10 * 1.4 + 5.5 * 4.4) / 1e6)
    between = found.more_usd(100)
    assert between is not None
    assert between[0] < 100 * found.mean_usd < between[1]
    assert recorded(tmp_path / "answers.sqlite", {"hash1"}, None) == Recorded(1)
    assert Recorded(3, 3, 1.0, 0.1).more_usd(5) is None  # too few
    assert found.more_usd(0) is None
    words = Cost(0.001, 0.02, between).in_words(12)
    assert words.startswith(
        "$0.0010 to $0.020 (one token an answer; every answer as long as may be); by the 12 answers"
    )


@pytest.mark.parametrize(
    ("amount", "words"), [(0, "$0.00"), (0.00860376, "$0.0086"), (0.5, "$0.50"), (1234.5, "$1,234.50"), (1, "$1.00")]
)
def test_amounts(amount: float, words: str) -> None:
    assert usd(amount) == words


def test_the_report_says_unknown_and_never_0() -> None:
    tokens = {"input_tokens": 27147, "cached_tokens": 27146, "output_tokens": 351, "reasoning_tokens": None}

    def shown(**data: object) -> tuple[dict[str, str], str]:
        section = costs_section({"data": {"answers": 2, **data}, "seconds": {"collect": 1.0}})
        return section["rows"][0], section["tokens"]

    row, counted = shown(cost_usd=0.00860376, tokens=tokens)
    assert counted == "Tokens in 27,147, of which cached 27,146; out 351, of which reasoning unknown."
    assert (row["paid"], row["each"]) == ("0.0086 USD", "4.30 USD for 1,000 answers")
    assert shown(cost_usd=None)[0]["paid"] == "unknown"
    assert shown(tokens=None)[1] == ""
