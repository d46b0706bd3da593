"""Token lists that a server reports as text, brought to the ids of a tokenizer that has the same tokens."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from potstill.alignment.spelling import AlignmentError, Spelling

# vLLM's `return_tokens_as_token_ids`: ids instead of texts, which nothing can be lost in.
_AS_ID = re.compile(r"token_id:(\d+)")
_LOST = "\ufffd"  # stands for half a character, where a server gives the text of a token and not its bytes
# The most that a token with lost bytes writes: one half of a character before it, one behind it, U+FFFD for each byte.
_LOST_BYTES = 12
# OpenAI's servers write -9999.0 for a token that is too unlikely to have a number.
_LEAST_NATS = -100.0


class Lists(NamedTuple):
    """For n tokens of an answer the K likeliest of a server's tokens: ascending `ids`, `log_p` (n, K) and `tail` (n,).

    Ids that fill a short list up have the log-probability -inf. A tail of 1 says that nothing is known of a position.
    """

    ids: NDArray[np.int64]
    log_p: NDArray[np.float32]
    tail: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a server's tokens are those of the tokenizer: what many answers say together is a sum of these."""

    placed: int = 0  # the server's tokens whose place in the text is known
    shared: int = 0  # those of them that the tokenizer has written there too
    listed: float = 0.0  # Σ of the listed probabilities, over shared positions
    unknown: float = 0.0  # the part of it on tokens that the tokenizer does not have

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(
            self.placed + other.placed, self.shared + other.shared, self.listed + other.listed,
            self.unknown + other.unknown,
        )  # fmt: skip


class Wording:
    """The ids of a tokenizer by what their tokens write, which is how a server names them."""

    def __init__(self, spelling: Spelling) -> None:
        """Raises nothing of its own; what `Spelling` cannot read has no wording either."""
        self.spelling = spelling
        self.special: dict[str, int] = {
            spelling.content[token]: token for token in sorted(spelling.special) if token < spelling.size
        }
        # Where several ids write the same, a byte of byte fallback is the last that is meant, then the higher id.
        last_first = sorted(range(spelling.size), key=lambda token: (not spelling.is_fallback(token), -token))
        self._by_bytes = {spelling.bytes_of[token]: token for token in last_first if spelling.bytes_of[token]}

    def id_of(self, token: str, odd_bytes: Sequence[int] | None = None) -> int | None:
        """The id of a token as a server writes it; None where the tokenizer has none that writes the same."""
        if match := _AS_ID.fullmatch(token):
            found = int(match[1])
            return found if found < self.spelling.size and self.spelling.content[found] else None
        if token in self.special:
            return self.special[token]
        return self._by_bytes.get(_bytes(token, odd_bytes) or b"")

    def written(self, token: str, odd_bytes: Sequence[int] | None = None) -> bytes | None:
        """The bytes that a token adds to the text, None where its text hides them."""
        if match := _AS_ID.fullmatch(token):
            found = int(match[1])
            return self.spelling.bytes_of[found] if found < self.spelling.size else None
        return b"" if token in self.special else _bytes(token, odd_bytes)


def lists_of(
    reported: Sequence[Mapping[str, Any]], text: str, tokens: Sequence[int], wording: Wording, k: int
) -> tuple[Lists, Agreement]:
    """The lists of an answer's `tokens` (n,), which write `text` and may end with special tokens.

    `reported` holds a server's tokens as `Reply.top_logprobs` does; reasoning may stand before the text. A position has
    its list where server and tokenizer write the same token at the same place; elsewhere nothing is known, and nothing
    is made up. A listed token that the tokenizer does not have counts with the tail.
    """
    lists, agreement = _unknown(len(tokens), k), Agreement()
    try:
        spans = wording.spelling.spans(tokens, text)
    except AlignmentError:
        return lists, agreement
    starts = [max(end, 0) for end in (spans.start, *spans.ends[:-1])]
    here = {
        (start, end): at
        for at, (start, end, special) in enumerate(zip(starts, spans.ends, spans.special, strict=True))
        if not special
    }
    placed = _placed([wording.written(one["token"], one.get("bytes")) for one in reported], text.encode())
    for one, place in zip(reported, placed, strict=False):
        if place is None:
            continue
        found = here.get(place)
        shared = found is not None and wording.id_of(one["token"], one.get("bytes")) == tokens[found]
        agreement += Agreement(1, int(shared))
        if shared and found is not None:
            agreement += _fill(lists, found, one, wording, k)
    end = len(tokens) - 1
    if placed and len(placed) < len(reported) and spans.special[end]:
        # The server's own end of the answer: the tokenizer's, and its list is what the teacher thought of ending here.
        last = reported[len(placed)]
        if wording.id_of(last["token"], last.get("bytes")) == tokens[end]:
            agreement += _fill(lists, end, last, wording, k)
    return lists, agreement


def _bytes(token: str, odd_bytes: Sequence[int] | None) -> bytes | None:
    if odd_bytes is not None:
        return bytes(odd_bytes)
    return None if _LOST in token else token.encode()


def _unknown(n: int, k: int) -> Lists:
    return Lists(
        np.tile(np.arange(k, dtype=np.int64), (n, 1)), np.full((n, k), -np.inf, np.float32), np.ones(n, np.float32)
    )


def _placed(pieces: Sequence[bytes | None], text: bytes) -> list[tuple[int, int] | None]:
    """Where in the text each of the server's tokens stands, up to the end of the text; empty where they don't fit it.

    None for a token that writes nothing, stands before the text (reasoning), or has bytes that are not known.
    """
    whole = b"".join(piece or b"" for piece in pieces)
    if None not in pieces and text not in whole:
        # Bytes that are no UTF-8 are U+FFFD in the text.
        pieces = [piece if _is_text(piece) else None for piece in pieces]
    before, at = _beginning(pieces, text)
    found: list[tuple[int, int] | None] = [None] * before
    while len(found) < len(pieces) and at < len(text):
        number = len(found)
        piece = pieces[number]
        if piece is None:
            run = _run(pieces, number, known=False)
            at = _after_lost(pieces, number, run, text, at)
            if at < 0:
                return []
            found += [None] * run
            continue
        start, at = at, at + len(piece)
        if text[max(start, 0) : at] != piece[max(-start, 0) :]:
            return []
        found.append((max(start, 0), at) if piece else None)
    return found if at == len(text) else []


def _beginning(pieces: Sequence[bytes | None], text: bytes) -> tuple[int, int]:
    """How many tokens stand before the text, and the offset at which the next begins: 0, or -1 for an added space."""
    known = [piece for piece in pieces if piece is not None]
    whole = b"".join(known)
    if len(known) < len(pieces) or whole == text or not whole.endswith(text):
        return 0, 0
    if whole == b" " + text:
        return 0, -1
    before = len(whole) - len(text)
    return next((at for at, passed in enumerate(accumulate(map(len, known), initial=0)) if passed >= before), 0), 0


def _is_text(piece: bytes | None) -> bool:
    try:
        return piece is not None and piece.decode() is not None
    except UnicodeDecodeError:
        return False


def _run(pieces: Sequence[bytes | None], start: int, *, known: bool) -> int:
    stop = start
    while stop < len(pieces) and (pieces[stop] is not None) == known:
        stop += 1
    return stop - start


def _after_lost(pieces: Sequence[bytes | None], start: int, run: int, text: bytes, at: int) -> int:
    """The offset behind a run of tokens whose bytes are lost: where what follows them is found; -1 where it is not."""
    following = start + run
    ahead = b"".join(piece or b"" for piece in pieces[following : following + _run(pieces, following, known=True)])
    furthest = min(len(text), at + run * _LOST_BYTES)
    if not ahead:
        return furthest if furthest == len(text) else -1
    return text.find(ahead, at + 1, furthest + len(ahead))


def _fill(lists: Lists, at: int, one: Mapping[str, Any], wording: Wording, k: int) -> Agreement:
    """Write the list of one position, and say how much of it the tokenizer has."""
    entries = [(str(token), logprob, *rest) for token, logprob, *rest in one.get("top") or ()]
    if one.get("logprob") is not None and not any(token == one["token"] for token, *_ in entries):
        entries.append((one["token"], one["logprob"], *([one["bytes"]] if "bytes" in one else [])))
    mass: dict[int, float] = {}
    listed = unknown = 0.0
    for token, logprob, *odd in entries:
        if logprob < _LEAST_NATS or wording.written(token, odd[0] if odd else None) is None:
            continue  # among the others: too unlikely, or half a character whose bytes the server hides
        probability = math.exp(min(logprob, 0.0))
        listed += probability
        found = wording.id_of(token, odd[0] if odd else None)
        if found is None:
            unknown += probability
        else:
            mass[found] = mass.get(found, 0.0) + probability
    best = sorted(mass.items(), key=lambda item: (-item[1], item[0]))[:k]
    if best:
        spare = (token for token in range(wording.spelling.size) if token not in mass)
        rows = sorted([*best, *((next(spare), 0.0) for _ in range(k - len(best)))])
        lists.ids[at] = [token for token, _ in rows]
        lists.log_p[at] = [math.log(probability) if probability else -math.inf for _, probability in rows]
        lists.tail[at] = max(0.0, 1.0 - math.fsum(probability for _, probability in rows))
    return Agreement(0, 0, listed, unknown)
