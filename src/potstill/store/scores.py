"""Log-probabilities that a served teacher gave for what a student wrote: kept, so that none is asked or paid twice."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from potstill.config import Endpoint, Prices
from potstill.errors import PotstillError
from potstill.models.http import most_usd, tokens_usd
from potstill.records import content_hash
from potstill.store.durable import written_whole
from potstill.store.journal import Journal

SCORES = "scores.jsonl"  # in the run folder
GROWN = "grown"  # in the run folder: the journal of the model that wrote prompts, see `run.growing`
_PRICES = "prices.json"
JUDGEMENTS = "judgements.sqlite"  # the journal of what a judge was asked about the answers
JUDGING = "judging"  # in the run folder: journals of what the judges of evaluate: were asked, one a judge


@dataclass(frozen=True, slots=True)
class Score:
    """One scored sequence: the teacher's log p of each answer token in nats, and what the request took."""

    key: str  # see `score_key`
    log_p: tuple[float, ...]
    input_tokens: int
    output_tokens: int
    cost_usd: float | None  # None where the prices are unknown


@dataclass(frozen=True, slots=True)
class Spending:
    """What scoring has taken; `cost_usd` is None where the price of a request is not known."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0

    def plus(self, scores: Sequence[Score]) -> "Spending":
        """With these requests added."""
        costs = [self.cost_usd, *(one.cost_usd for one in scores)]
        known = [cost for cost in costs if cost is not None]
        return Spending(
            self.requests + len(scores),
            self.input_tokens + sum(one.input_tokens for one in scores),
            self.output_tokens + sum(one.output_tokens for one in scores),
            sum(known) if len(known) == len(costs) else None,
        )

    def facts(self) -> dict[str, Any]:
        """As metrics and the ledger name it."""
        return {f"scoring_{name}": value for name, value in asdict(self).items()}


def score_key(section: Endpoint, tokens: Sequence[int], prompt_length: int) -> str:
    """What a score depends on: the server, its model and own fields, and the tokens."""
    own = [dict(section.extra_body)] if section.extra_body else []
    return content_hash([section.base_url, section.model, *own, prompt_length, list(tokens)])


class Scores:
    """The scores of a run in one append-only file of JSON lines; a training that was killed finds its own again.

    Raises PotstillError for a file that holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_key: dict[str, tuple[float, ...]] = {}
        self.spending = Spending()
        self._unpriced = Spending()
        self._known_usd = 0.0
        self._take(self.read(path))

    @classmethod
    def read(cls, path: Path) -> list[Score]:
        """All whole lines of a file."""
        found = []
        for number, line in enumerate(_whole_lines(path), start=1):
            try:
                data = json.loads(line)
                found.append(Score(**{**data, "log_p": tuple(data["log_p"])}))
            except (ValueError, TypeError, KeyError):
                raise PotstillError(f"{path}:{number}: not a score; move the file away and run again") from None
        return found

    def get(self, key: str) -> tuple[float, ...] | None:
        """Log p of each answer token, None where it is not known yet."""
        return self._by_key.get(key)

    def spent_usd(self, prices: Prices | None) -> float:
        """US dollars of all of them; those sent before the recipe named prices are counted at these."""
        tokens = self._unpriced
        return self._known_usd + tokens_usd(tokens.input_tokens, 0, tokens.output_tokens, prices)

    def add(self, scores: Sequence[Score]) -> None:
        """Keep scores; they are on the disk when this returns. Raises PotstillError where the disk refuses."""
        if not scores:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(one)) + "\n" for one in scores)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise PotstillError(
                f"{self._path}: cannot be written ({error.strerror}); free space and run again"
            ) from None
        self._take(scores)

    def _take(self, scores: Sequence[Score]) -> None:
        self._by_key |= {one.key: one.log_p for one in scores}
        self.spending = self.spending.plus(scores)
        self._unpriced = self._unpriced.plus([one for one in scores if one.cost_usd is None])
        self._known_usd += sum(one.cost_usd for one in scores if one.cost_usd is not None)


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file, which loses what a kill cut short."""
    if not path.exists():
        return []
    with path.open("rb+") as file:
        text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            file.truncate(len(whole))
    return whole.decode("utf-8", errors="replace").splitlines()


def spent_usd(folder: Path, journal: Journal, prices: Prices | None, judge_prices: Prices | None = None) -> float:
    """US dollars that a run has spent: answers, those of earlier recipes included, scores, grown prompts, judgements.

    What is of unknown cost counts with the most that it can have cost: a budget is a promise.
    """
    judging = 0.0
    if (folder / JUDGEMENTS).is_file():
        with Journal(folder / JUDGEMENTS, read_only=True) as judgements:
            judging = answers_usd(judgements, judge_prices)
    scoring = Scores(folder / SCORES).spent_usd(prices)
    return answers_usd(journal, prices) + judging + scoring + spent_growing_usd(folder)


def spent_growing_usd(folder: Path) -> float:
    """US dollars that the prompts of a run have cost."""
    if not (folder / GROWN / "answers.sqlite").is_file():
        return 0.0
    with Journal(folder / GROWN / "answers.sqlite", read_only=True) as journal:
        return answers_usd(journal, read_prices(folder / GROWN))


def write_prices(place: Path, prices: Prices | None) -> None:
    """Keep, beside a journal of grown prompts, what the model that writes them costs: it need not be the teacher."""
    with written_whole(place / _PRICES) as file:
        file.write((prices.model_dump_json() if prices is not None else "null").encode())


def read_prices(place: Path) -> Prices | None:
    """What `write_prices` kept. Raises PotstillError where it is gone."""
    try:
        data = json.loads((place / _PRICES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise PotstillError(f"{place / _PRICES}: missing or damaged; run the prompts stage again") from None
    return Prices(**data) if data is not None else None


def answers_usd(journal: Journal, prices: Prices | None) -> float:
    """US dollars of every answer in a journal; of an unknown cost the most that it can have been."""
    return journal.spent_usd() + sum(most_usd(row.request["body"], prices) for row in journal.unpriced())


def taken_since(spending: Spending, before: Spending) -> Spending:
    """What was spent since an earlier state."""
    cost = None if spending.cost_usd is None or before.cost_usd is None else spending.cost_usd - before.cost_usd
    return Spending(
        spending.requests - before.requests, spending.input_tokens - before.input_tokens,
        spending.output_tokens - before.output_tokens, cost,
    )  # fmt: skip
