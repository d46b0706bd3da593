"""A server's token lists in a tokenizer's ids: what is shared is exact, what is not is left unknown."""

import math
from typing import Any

import numpy as np
import pytest

from potstill.alignment import Agreement, Lists, Spelling, Wording, lists_of
from tokenizing import VARIED, byte_fallback, byte_level, render

LEVEL = byte_level(420)
WORDING = Wording(Spelling(LEVEL))
K = 4


def entry(tokenizer: Any, token: int, logprob: float, form: str = "bytes") -> list[Any]:
    """A token as servers write it: OpenAI's with its bytes, vLLM's as its decoded text alone, or as its id."""
    if form == "id":
        return [f"token_id:{token}", logprob]
    text = tokenizer.decode([token])
    spelled = Spelling(tokenizer).bytes_of[token]
    return (
        [text, logprob, list(spelled)] if form == "bytes" and spelled and spelled != text.encode() else [text, logprob]
    )


def report(tokenizer: Any, tokens: list[int], form: str = "bytes", seed: int = 0) -> list[dict[str, Any]]:
    """What a server would report of these tokens: each with probability 0.5, three others, and 0.1 on the rest."""
    random = np.random.default_rng(seed)
    found = []
    for token in tokens:
        others = [int(one) for one in random.permutation(len(tokenizer)) if one != token][:3]
        spelled = [entry(tokenizer, token, math.log(0.5), form)]
        spelled += [entry(tokenizer, one, math.log(p), form) for one, p in zip(others, (0.2, 0.1, 0.1), strict=True)]
        name, logprob, *odd = spelled[0]
        found.append({"token": name, "logprob": logprob, "top": spelled} | ({"bytes": odd[0]} if odd else {}))
    return found


def in_ids(lists: Lists, at: int) -> dict[int, float]:
    pairs = zip(lists.ids[at].tolist(), np.exp(lists.log_p[at].astype(float)).tolist(), strict=True)
    return {token: round(p, 4) for token, p in pairs if p}


@pytest.mark.parametrize("form", ["bytes", "id"])
@pytest.mark.parametrize("text", VARIED)
def test_every_position_gets_the_servers_own_list(text: str, form: str) -> None:
    tokens = [*render(LEVEL, text), LEVEL.eos_token_id]
    reported = report(LEVEL, tokens, form)
    lists, agreement = lists_of(reported, text, tokens, WORDING, K)
    assert agreement == Agreement(len(tokens) - 1, len(tokens) - 1, pytest.approx(0.9 * len(tokens)), 0)
    np.testing.assert_allclose(lists.tail, 0.1, atol=1e-6)
    for at, token in enumerate(tokens):
        found = in_ids(lists, at)
        assert found[token] == 0.5
        assert sorted(found.values()) == [0.1, 0.1, 0.2, 0.5]
        assert list(found) == sorted(found)


def test_a_token_given_as_text_alone_is_found_by_what_it_writes() -> None:
    text = VARIED[1]
    tokens = [*render(LEVEL, text), LEVEL.eos_token_id]
    lists, agreement = lists_of(report(LEVEL, tokens, "text"), text, tokens, WORDING, K)
    assert agreement.shared == agreement.placed == len(tokens) - 1
    assert all(in_ids(lists, at)[token] == 0.5 for at, token in enumerate(tokens))


def test_half_characters_without_bytes_are_unknown_and_the_text_after_them_is_not() -> None:
    """vLLM writes U+FFFD for a token that ends inside a character: its bytes are lost, and so is its list."""
    text = "A 😀 kettle é"
    tokens = render(LEVEL, text)
    reported = report(LEVEL, tokens, "text")
    lost = ["\ufffd" in one["token"] for one in reported]
    assert any(lost)
    lists, agreement = lists_of(reported, text, tokens, WORDING, K)
    assert agreement.placed == agreement.shared == lost.count(False)
    assert (lists.tail == 1).tolist() == lost
    assert np.isneginf(lists.log_p[lost]).all()


def test_the_end_of_the_answer_has_a_list_where_the_server_reports_it() -> None:
    text, end = VARIED[0], LEVEL.eos_token_id
    tokens = [*render(LEVEL, text), end]
    for reported, known in [(report(LEVEL, tokens), True), (report(LEVEL, tokens[:-1]), False)]:
        lists, _ = lists_of(reported, text, tokens, WORDING, K)
        assert (lists.tail[-1] < 1) == known
    without_bytes = [*report(LEVEL, tokens[:-1]), {"token": "", "logprob": -0.1, "top": [["", -0.1]]}]
    assert lists_of(without_bytes, text, tokens, WORDING, K)[0].tail[-1] == 1  # not said which token it was


def test_reasoning_before_the_answer_is_passed_over() -> None:
    text = VARIED[0]
    tokens = [*render(LEVEL, text), LEVEL.eos_token_id]
    thought = render(LEVEL, "It whistles.</think>\n\n")
    lists, agreement = lists_of(report(LEVEL, [*thought, *tokens]), text, tokens, WORDING, K)
    assert agreement.shared == len(tokens) - 1
    assert all(in_ids(lists, at)[token] == 0.5 for at, token in enumerate(tokens))


def test_where_the_server_cut_otherwise_only_that_place_is_unknown() -> None:
    """A sampled answer need not be cut as the tokenizer would cut its text."""
    text = "what is a kettle"
    canonical = render(LEVEL, text)
    whole = next(at for at, token in enumerate(canonical) if len(WORDING.spelling.bytes_of[token]) > 1)
    letters = [WORDING.id_of(chr(one)) for one in WORDING.spelling.bytes_of[canonical[whole]]]
    sampled = [*canonical[:whole], *(one for one in letters if one is not None), *canonical[whole + 1 :]]
    lists, agreement = lists_of(report(LEVEL, sampled), text, canonical, WORDING, K)
    assert (lists.tail == 1).tolist() == [at == whole for at in range(len(canonical))]
    assert (agreement.placed, agreement.shared) == (len(sampled), len(canonical) - 1)


def test_tokens_of_another_tokenizer_show_in_the_agreement() -> None:
    other, agreement = byte_level(300, ["zebra crossing jazz quiz"]), Agreement()
    for text in VARIED:
        tokens = render(LEVEL, text)
        agreement += lists_of(report(other, render(other, text)), text, tokens, WORDING, K)[1]
    assert agreement.shared / agreement.placed < 0.9


def test_another_text_has_no_lists() -> None:
    tokens = render(LEVEL, "what is a kettle")
    for reported in (report(LEVEL, render(LEVEL, "what is a barometer")), [], report(LEVEL, tokens[:-1])):
        lists, agreement = lists_of(reported, "what is a kettle", tokens, WORDING, K)
        assert (lists.tail == 1).all()
        assert agreement == Agreement()


def test_a_space_before_the_text_belongs_to_the_first_token() -> None:
    tokenizer = byte_fallback()
    wording = Wording(Spelling(tokenizer))
    text = "a kettle is a vessel 😀"
    tokens = [*render(tokenizer, text), tokenizer.eos_token_id]
    lists, agreement = lists_of(report(tokenizer, tokens, "id"), text, tokens, wording, K)
    assert agreement.shared == agreement.placed
    empty = [not wording.spelling.bytes_of[token] for token in tokens[:-1]]
    assert (lists.tail[:-1] < 1).tolist() == [not one for one in empty]


def test_short_lists_foreign_tokens_and_impossible_ones() -> None:
    token = render(LEVEL, "what")[0]
    reported: list[dict[str, Any]]
    one = entry(LEVEL, token, math.log(0.5))
    listed = [one, ["東京都", math.log(0.25)], ["!", -9999.0]]
    reported = [{"token": one[0], "logprob": one[1], "top": listed}]
    text = LEVEL.decode([token])
    lists, agreement = lists_of(reported, text, [token], WORDING, K)
    assert in_ids(lists, 0) == {token: 0.5}  # the others fill up
    assert len(set(lists.ids[0].tolist())) == K
    assert lists.tail[0] == pytest.approx(0.5)  # what the tokenizer does not have is among the others
    assert (agreement.listed, agreement.unknown) == (pytest.approx(0.75), pytest.approx(0.25))


def test_the_likeliest_are_kept_and_the_answers_own_token_counts_like_any_other() -> None:
    tokens = list(range(60, 66))
    text = LEVEL.decode([tokens[0]])
    top = [entry(LEVEL, token, math.log(p)) for token, p in zip(tokens[1:], (0.3, 0.2, 0.15, 0.1, 0.05), strict=True)]
    reported = [{"token": text, "logprob": math.log(0.12), "top": top}]
    lists, _ = lists_of(reported, text, [tokens[0]], WORDING, K)
    assert in_ids(lists, 0) == {tokens[0]: 0.12, tokens[1]: 0.3, tokens[2]: 0.2, tokens[3]: 0.15}
    assert lists.tail[0] == pytest.approx(0.23)


def test_bytes_that_are_no_text_are_unknown_and_the_rest_is_not() -> None:
    """A model may write half a character and go on; in the text it is U+FFFD."""
    half = WORDING.spelling.first_token("é".encode()[:1])
    assert half is not None
    served = [*render(LEVEL, "a kettle "), half, *render(LEVEL, " and tea")]
    text = LEVEL.decode(served)
    assert "\ufffd" in text
    tokens = render(LEVEL, text)
    lists, agreement = lists_of(report(LEVEL, served, "id"), text, tokens, WORDING, K)
    assert agreement.placed == agreement.shared == len(served) - 1
    assert int((lists.tail < 1).sum()) == len(served) - 1
