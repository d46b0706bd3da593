"""Counts answers by what speaks against them, and keeps a few of each reason to be looked at."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from potstill.store.screening import REASONS, Screened

_EXAMPLES: Final = 3  # of a reason
_SHOWN: Final = 600  # characters of a prompt or an answer


class Tally:
    """What came of screening, counted row by row."""

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._examples: dict[str, list[dict[str, str]]] = {}
        self._by_screens = hashlib.sha256()
        self._any_by_screens = False

    def count(self, row: Screened, asked: str, answer: str, *, said_by_reply: bool) -> None:
        """Add an answer. `said_by_reply`: its reply says itself that it is not to be used."""
        (self._used if row.used else self._left_out)[row.split] += 1
        if not row.used and not said_by_reply:
            self._any_by_screens = True
            self._by_screens.update(row.request_key.encode())
        for reason, detail in zip(row.reasons, row.details, strict=True):
            self._reasons[reason, row.split] += 1
            kept = self._examples.setdefault(reason, [])
            if len(kept) < _EXAMPLES:
                kept.append(
                    {"request_key": row.request_key, "split": row.split, "prompt": asked[:_SHOWN],
                     "answer": answer[:_SHOWN], "detail": detail}
                )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """Counts by split and reason. `left_out_sha256` is of the answers that only screening leaves out, "" for none.

        An answer with two reasons is counted under both, and once among those left out.
        """
        return {
            "used": _both(self._used),
            "left_out": _both(self._left_out),
            "reasons": {
                reason: {split: self._reasons[reason, split] for split in ("train", "holdout")}
                for reason in REASONS
                if self._reasons[reason, "train"] or self._reasons[reason, "holdout"]
            },
            "left_out_sha256": self._by_screens.hexdigest() if self._any_by_screens else "",
        }

    @property
    def examples(self) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """Up to three answers of each reason, the first in the prompts' order."""
        return {reason: self._examples[reason] for reason in REASONS if reason in self._examples}


def _both(counts: Counter[str]) -> dict[str, int]:
    return {split: counts[split] for split in ("train", "holdout")}
