"""Abstaining and asking back: what counts, what must not, and texts that are meant to be slow."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluate.probes.behaviours import abstains, asks_back


@pytest.mark.parametrize(
    "text",
    [
        "I don't know.",
        "I’m sorry, but I can't help with that.",
        "Unfortunately, I do not have enough information to answer.",
        "The passage does not mention a date.",
        "It cannot be determined from the text.",
        "The author's age is not specified in the given text.",
        "There is no information about the price.",
        "n/a",
        "Unknown.",
        "Not specified",
        "Ich weiß es leider nicht.",
        "Das geht aus dem Text nicht hervor.",
        "Je ne sais pas.",
        "Le texte ne précise pas la date.",
        "No lo sé.",
        "El texto no menciona ninguna fecha.",
        "Eu não sei.",
        "Non lo so.",
        "Ik weet het niet.",
        "Nie wiem.",
        "Я не знаю ответа.",
        "文中没有提到日期。",
        "わかりません。",
        "잘 모르겠습니다.",
    ],
)
def test_abstaining(text: str) -> None:
    assert abstains(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Paris.",
        "A known unknown is a thing that we know we do not know.",
        "The unknown soldier is buried under the arch.",
        "Many people don't know that tomatoes are fruit.",
        "The law does not say so, but courts do.",
        "I know: 42.",
        "She is not sure whether to go.",
        "A" * 500 + " I don't know.",
    ],
)
def test_not_abstaining(text: str) -> None:
    assert not abstains(text)


@pytest.mark.parametrize(
    "text",
    [
        "Which version do you use?",
        "I can look that up. What is your order number?",
        "Meinen Sie die Bank am Fluss oder das Geldinstitut?",
        "¿A qué ciudad se refiere?",
        "どの日付ですか？",
        "Do you mean the **first** one?**",
        'Could you say which account you mean ("checking" or "savings")?',
    ],
)
def test_asking_back(text: str) -> None:
    assert asks_back(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?" * 0,
        "A kettle boils water.",
        "Why? Because it is hot.",
        "Your order has been sent. Is there anything else I can help you with?",
        "Done. Would you like me to send a copy?",
        "Fertig. Kann ich sonst noch etwas für Sie tun?",
        "Voilà. Souhaitez-vous autre chose ?",
        "word " * 80 + "Is that so?",
        "x" * 5_000 + "?",
    ],
)
def test_not_asking_back(text: str) -> None:
    assert not asks_back(text)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert abstains(text) in (True, False)
    assert asks_back(text) in (True, False)


@pytest.mark.parametrize(
    "piece", ["text ", "not ", "?", "not mentioned in the ", ". ", " ", "text enthält ", "\n", "geht aus a b ", "I "]
)
def test_long_texts_take_no_longer_than_they_must(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    started = time.process_time()
    for one in (text, text + "?", text[:250]):
        abstains(one)
        asks_back(one)
    assert time.process_time() - started < 1
