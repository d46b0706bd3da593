"""Refusals: what is one, and what only sounds like one."""

import pytest

from potstill.texts.refusals import refusal


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, I can’t help with that.",
        "Sorry, I can't do that.",
        "  **I cannot provide** instructions for this.",
        "As an AI language model, I cannot provide medical advice.",
        "I apologize, but I am not able to generate that kind of content.",
        "Unfortunately, I am unable to help with this.",
        "I must decline to answer.",
        "I'm not comfortable writing that.",
        "Es tut mir leid, aber ich kann dir dabei nicht helfen.",
        "Leider kann ich diese Frage nicht beantworten.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Desculpe, mas não posso ajudar com isso.",
        "Mi dispiace, ma non posso aiutarti.",
        "Het spijt me, maar ik kan je daar niet mee helpen.",
        "Przykro mi, ale nie mogę pomóc.",
        "Извините, но я не могу помочь с этим.",
        "很抱歉，我无法提供帮助。",
        "申し訳ありませんが、そのご依頼にはお答えできません。",
        "죄송합니다. 요청하신 내용은 도와드릴 수 없습니다.",
    ],
)
def test_is_one(text: str) -> None:
    assert refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I can't help but smile when it rains.",
        "I cannot help it, she said.",
        "I can't find my keys.",
        "I'm sorry to hear that. Try turning it off and on again.",
        "Sorry for the delay! Your parcel will be there on Thursday.",
        "The model answers: I'm sorry, but I can't assist with that request.",
        "As an AI language model, I see two ways to solve this.",
        "Unfortunately, the train has left.",
        "Leider ist der Zug weg.",
        "Es tut mir leid, das zu hören.",
        "Lo siento mucho por tu pérdida.",
        "抱歉让您久等了，您的包裹将于明天送达。",
    ],
)
def test_is_none(text: str) -> None:
    assert refusal(text) is None


def test_looks_at_the_beginning_only_and_stays_quick() -> None:
    assert refusal("The answer is below. " * 20 + "I'm sorry, but I can't assist with that request.") is None
    assert refusal("sorry, " * 100_000) is None
