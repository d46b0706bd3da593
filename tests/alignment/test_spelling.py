"""What tokens write: bytes that add up to the text, whatever a tokenizer does about spaces and emoji."""

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from potstill.alignment import AlignmentError, Spelling
from potstill.errors import RecipeError
from tokenizing import VARIED, byte_fallback, byte_level, render

MADE = {
    "bytes": byte_level(258),
    "pairs of bytes": byte_level(420),
    "a space before": byte_level(420, prefix_space=True),
    "byte fallback": byte_fallback(),
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("text", ["", "A", " two  spaces ", "é", "\x00\x7f", *VARIED])
def test_the_ends_reach_every_byte_once(name: str, text: str) -> None:
    tokenizer = MADE[name]
    spelling, tokens = Spelling(tokenizer), render(tokenizer, text)
    spans = spelling.spans([*tokens, tokenizer.eos_token_id], text)
    assert list(spans.ends) == sorted(spans.ends)
    assert (spans.ends[-1], spans.special[-1]) == (len(text.encode()), True)
    assert not any(spans.special[:-1])
    # The bytes of the pieces are those of the text, but for the space that a tokenizer puts before it.
    raw = b" " * -spans.start + text.encode()
    starts = [spans.start, *spans.ends[:-1]]
    for token, start, end in zip([*tokens, tokenizer.eos_token_id], starts, spans.ends, strict=True):
        assert spelling.bytes_of[token] == raw[start - spans.start : end - spans.start]


@pytest.mark.parametrize("name", MADE)
def test_the_bytes_are_what_the_tokenizer_decodes(name: str) -> None:
    tokenizer = MADE[name]
    spelling = Spelling(tokenizer)
    for text in VARIED:
        tokens = render(tokenizer, text)
        assert b"".join(spelling.bytes_of[one] for one in tokens).decode().lstrip() == tokenizer.decode(tokens).lstrip()


def test_an_emoji_that_is_split_into_bytes_ends_inside_it() -> None:
    tokenizer = MADE["byte fallback"]
    tokens = render(tokenizer, "😀")
    assert tokenizer.convert_ids_to_tokens(tokens) == ["▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]
    assert Spelling(tokenizer).spans(tokens, "😀").ends == (0, 1, 2, 3, 4)


def test_added_tokens_write_their_content_and_special_ones_nothing() -> None:
    tokenizer = byte_level(300)
    tokenizer.add_tokens(["<think>", "naïve"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    spelling = Spelling(tokenizer)
    tokens = tokenizer("<|turn|><think>naïve", add_special_tokens=False)["input_ids"]
    assert spelling.spans(tokens, "<think>naïve").ends == (0, 7, 13)
    assert spelling.spans(tokens, "<think>naïve").special == (True, False, False)


def test_tokens_of_another_text_are_refused_with_the_byte() -> None:
    spelling = Spelling(MADE["bytes"])
    with pytest.raises(AlignmentError, match=r"spell b'ttle' at byte 2, where the text has b'nnel'"):
        spelling.spans(render(MADE["bytes"], "kettle"), "kennel")
    with pytest.raises(AlignmentError, match=r"spell b'' at byte 6, where the text has b's'"):
        spelling.spans(render(MADE["bytes"], "kettle"), "kettles")
    with pytest.raises(AlignmentError, match="at byte 0"):  # what a special token writes is no part of the text
        spelling.spans(MADE["bytes"]("</s>", add_special_tokens=False)["input_ids"], "</s>")


def test_the_first_token_is_the_tokenizers_own_choice() -> None:
    level, fallback = Spelling(MADE["pairs of bytes"]), Spelling(MADE["byte fallback"])
    for spelling in (level, fallback):
        for word in (" kettle", " kettles", " barometer"):
            first = spelling.first_token(word.encode())
            assert first is not None
            assert (
                spelling.content[first]
                == spelling.tokenizer.tokenize(word.lstrip() if spelling is fallback else word)[0]
            )
    # The beginning of a character, and a byte that no character begins with.
    for wanted in ("東".encode()[:2], b"\x80"):
        for spelling in (level, fallback):
            first = spelling.first_token(wanted)
            assert first is not None
            assert wanted.startswith(spelling.bytes_of[first])
    unknown = byte_level(258)
    unknown.add_tokens(["x"])
    assert level.first_token(b"") is None


@pytest.mark.parametrize("decoder", [decoders.WordPiece(), None])
def test_a_decoder_that_is_not_one_to_one_is_refused(decoder: Any) -> None:
    inner = Tokenizer(models.WordLevel({"?": 0, "one": 1}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if decoder is not None:
        inner.decoder = decoder
    with pytest.raises(RecipeError, match="the bytes of a token cannot be read") as caught:
        Spelling(PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?"))
    assert "\n" not in str(caught.value)
