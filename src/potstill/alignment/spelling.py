"""What every token of a tokenizer writes, in bytes: the one thing that two vocabularies have in common."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from potstill.errors import PotstillError, RecipeError


class AlignmentError(PotstillError):
    """An answer whose tokens do not spell its text, so that it has no byte offsets."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Where the tokens of a sequence end in its text: byte offsets (n,), and which tokens are special (n,).

    A special token writes nothing, so it ends where the token before it does. `start` is -1 where the tokenizer has put
    a space before the text, else 0.
    """

    ends: tuple[int, ...]
    special: tuple[bool, ...]
    start: int = 0


class Spelling:
    """The bytes of every token id, read from a fast tokenizer's vocabulary and decoder.

    Knows byte-level tokenizers (GPT-2, SmolLM2, Qwen) and those that write a space as "▁" (Llama, Gemma, Mistral), with
    or without byte fallback. Raises RecipeError for any other, such as WordPiece, whose decoder is not one to one.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._space = _space_of(tokenizer)
        added = tokenizer.added_tokens_decoder
        marked = {token for token, found in added.items() if found.special}
        self.special = frozenset({*marked, *tokenizer.all_special_ids})
        self.end: int | None = tokenizer.eos_token_id
        vocabulary: Mapping[str, int] = tokenizer.get_vocab()
        self.size = max(vocabulary.values()) + 1  # ids that no token has count, and write nothing
        self.content = [""] * self.size
        self.bytes_of = [b""] * self.size
        for content, token in vocabulary.items():
            self.content[token] = content
            if token in added:
                # An added token is matched as text before the model sees it; its bytes are not in the model's alphabet.
                self.bytes_of[token] = b"" if token in self.special else content.encode()
            elif token not in self.special:
                self.bytes_of[token] = self._written(content)

    def is_fallback(self, token: int) -> bool:
        """Whether a token is a single byte written as "<0x0A>", which stands in only where no other token fits."""
        return self._space is not None and _fallback_byte(self.content[token]) is not None

    def spans(self, tokens: Sequence[int], text: str) -> Spans:
        """Where each of `tokens` ends in `text`, which they must spell, special tokens left out.

        Many tokenizers put a space before the text; it belongs to the tokens and not to the text, and stands before
        offset 0. Raises AlignmentError, with the byte where they part, for tokens that spell something else.
        """
        pieces = [self.bytes_of[token] for token in tokens]
        spelled, wanted = b"".join(pieces), text.encode()
        added = 1 if spelled == b" " + wanted else 0
        if not added and spelled != wanted:
            parted = next(
                (at for at, pair in enumerate(zip(spelled, wanted, strict=False)) if pair[0] != pair[1]), None
            )
            place = min(len(spelled), len(wanted)) if parted is None else parted
            raise AlignmentError(
                f"the tokens spell {spelled[place : place + 8]!r} at byte {place}, where the text has "
                f"{wanted[place : place + 8]!r}"
            )
        ends = tuple(end - added for end in accumulate(map(len, pieces)))
        return Spans(ends, tuple(token in self.special for token in tokens), -added)

    def first_token(self, wanted: bytes) -> int | None:
        """The token that this tokenizer begins with when it writes `wanted` by itself; None where it cannot."""
        written = self._model_text(wanted)
        pieces = self._model.tokenize(written) if written else []
        if not pieces:
            return self._by_byte.get(wanted[:1])
        first = int(pieces[0].id)
        # A token for what the model does not know would have special bytes, or none.
        return first if self.bytes_of[first] and wanted.startswith(self.bytes_of[first]) else None

    @cached_property
    def _model(self) -> Any:
        return self.tokenizer.backend_tokenizer.model

    @cached_property
    def _by_byte(self) -> Mapping[bytes, int]:
        return {self.bytes_of[token]: token for token in range(self.size) if self.is_fallback(token)}

    def _written(self, content: str) -> bytes:
        if self._space is not None:
            fallback = _fallback_byte(content)
            return fallback if fallback is not None else content.replace(self._space, " ").encode()
        try:
            return bytes(_BYTE_OF[character] for character in content)
        except KeyError:  # not in the alphabet of bytes: the decoder passes it through
            return content.encode()

    def _model_text(self, wanted: bytes) -> str:
        """The bytes in the alphabet that the model merges in; text up to the first byte that is not UTF-8."""
        if self._space is None:
            return "".join(_CHARACTER_OF[one] for one in wanted)
        try:
            text = wanted.decode()
        except UnicodeDecodeError as error:
            text = wanted[: error.start].decode()
        return text.replace(" ", self._space)


def _space_of(tokenizer: Any) -> str | None:
    """The character that stands for a space, or None for a byte-level tokenizer."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = getattr(backend, "decoder", None)
    if decoder is not None:
        parts = list(_flat(json.loads(decoder.__getstate__())))
        kinds = {part["type"] for part in parts}
        if "ByteLevel" in kinds:
            return None
        for part in parts:
            if part["type"] == "Metaspace":
                return str(part["replacement"])
            if part["type"] == "Replace" and part["content"] == " " and "String" in part["pattern"]:
                return str(part["pattern"]["String"])
        found = ", ".join(sorted(kinds))
    else:
        found = "none"
    raise RecipeError(
        f"{getattr(tokenizer, 'name_or_path', '') or type(tokenizer).__name__}: the bytes of a token cannot be read "
        f"from this tokenizer's decoder ({found}); across tokenizers take a byte-level one, or one that writes ▁ for a "
        "space"
    )


def _flat(decoder: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if decoder["type"] == "Sequence":
        for one in decoder["decoders"]:
            yield from _flat(one)
    else:
        yield decoder


def _fallback_byte(content: str) -> bytes | None:
    if len(content) == 6 and content.startswith("<0x") and content.endswith(">"):
        try:
            return bytes([int(content[3:5], 16)])
        except ValueError:
            return None
    return None


def _byte_alphabet() -> dict[int, str]:
    """Bytes as printable characters, as GPT-2 has them: printable ones stand for themselves, the rest from U+0100."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [one for one in range(0x100) if one not in kept]
    return {one: chr(one) for one in kept} | {one: chr(0x100 + place) for place, one in enumerate(others)}


_CHARACTER_OF = _byte_alphabet()
_BYTE_OF = {character: one for one, character in _CHARACTER_OF.items()}
