"""Whether a text declines to answer, by the phrases that such answers begin with."""

import re
from typing import Final

_BEGINNING = 240  # characters in which a refusal shows itself
_QUOTES: Final = str.maketrans("’‘ʼ´“”", "''''\"\"")

# Each phrase needs a first person, a modal in the negative, and what helping is called: "I can't find my keys" is none.
# An apology or "as an AI" alone is none either. Other languages have the forms that their large models use most.
_DOING: Final = (
    r"(?:help(?!\ (?:but|it\b|my|\w+ing\b))|assist|comply|fulfil+|provide|answer|respond|discuss|proceed|"
    r"engage|support|participate|generate|create|produce|write|offer|recommend|endorse|browse|"
    r"access|do\ (?:that|this)|helping|"
    r"assisting|providing|creating|generating|writing|discussing|answering|engaging)"
)
_ENGLISH: Final = rf"""
    (?:(?:(?:i'm|i\ am)\ )?(?:(?:so|very|really|truly)\ )?(?:sorry|afraid)[,.!:;\ -]+(?:but\ )?
      |i\ apologi[sz]e[,.!:;\ -]+(?:but\ )?|(?:my\ )?apologies[,.!:;\ -]+(?:but\ )?|unfortunately,?\ |regrettably,?\ )*
    (?:as\ an?\ (?:ai|artificial\ intelligence|large\ language\ model|language\ model|assistant)[^,.]{{0,60}},?\ )?
    (?:i\ (?:can\ ?not|can't|won't|will\ not|must\ decline\ to|have\ to\ decline\ to|decline\ to)
      |(?:i'm|i\ am)\ (?:unable|not\ able|not\ allowed|not\ permitted|not\ going|not\ designed|not\ programmed)\ to
      |(?:i'm|i\ am)\ not\ comfortable|(?:i\ do\ not|i\ don't)\ feel\ comfortable|i\ am\ not\ in\ a\ position\ to)
    \ (?:(?:directly|ethically|legally|knowingly|in\ good\ conscience)\ )?(?:be\ able\ to\ )?{_DOING}\b
"""
_OTHERS: Final = (
    r"(?:es tut mir leid|leider)[,.!]?(?: aber)? (?:dabei )?(?:kann ich|ich kann)\b[^.!?]{0,60}\b(?:nicht|keine?n?)\b",
    r"ich (?:kann|darf) (?:dir |ihnen )?(?:da(?:bei|mit) |bei dieser anfrage )?(?:leider )?nicht (?:weiter)?helfen",
    r"(?:je suis (?:vraiment )?)?(?:désolée?|navrée?)[,.!]?(?: mais)? je ne (?:peux|suis)(?: malheureusement)? pas\b",
    r"je (?:ne peux|ne suis) pas (?:en mesure de )?(?:vous |t')?(?:aider|répondre|fournir|accéder)",
    r"(?:lo siento|lo lamento|disculpa|perdón)[,.!]?(?: pero)? no (?:puedo|me es posible|estoy autorizado)\b",
    r"no puedo (?:ayudarte|ayudarle|ayudar|proporcionar|cumplir|responder)\b",
    r"(?:desculpe|desculpa|sinto muito|lamento|infelizmente)[,.!]?(?: mas)? (?:eu )?não (?:posso|consigo|é possível)\b",
    r"(?:mi dispiace|mi spiace|spiacente|purtroppo)[,.!]?(?: ma)? non (?:posso|sono in grado)\b",
    r"(?:het spijt me|sorry|helaas)[,.!]?(?: maar)? (?:ik kan|kan ik)\b[^.!?]{0,60}\b(?:niet|geen)\b",
    r"(?:przepraszam|przykro mi|niestety)[,.!]?(?: ale)? nie mogę (?:w tym )?(?:pomóc|odpowiedzieć|tego zrobić)",
    r"(?:извините|простите|к сожалению|мне жаль)[,.!]?(?: но)? (?:я )?не (?:могу|в состоянии)\b",
    r"(?:很?抱歉|对不起|對不起|不好意思)[,，。!！\s]*(?:但是?)?(?:我|作为[^,，。]{0,20}[,，]?我?)?[^。！？]{0,20}(?:无法|無法|不能|不便)",
    r"我(?:无法|無法|不能)(?:为您|帮助|协助|提供|回答|满足|幫助|協助)",
    r"(?:申し訳(?:ありません|ございません)|すみません|ごめんなさい)[。、]?[^。]{0,40}(?:できません|できかねます|お答えできない|お手伝いできない)",
    r"(?:죄송(?:합니다|하지만)|미안하지만)[.,\s]*[^.]{0,50}(?:수 없|어렵습니다|불가능)",
)
_REFUSAL: Final = re.compile(rf"(?:{_ENGLISH})", re.VERBOSE)
_REFUSALS_ELSEWHERE: Final = re.compile("|".join(f"(?:{one})" for one in _OTHERS))


def refusal(text: str) -> str | None:
    """The words with which a text declines to answer; None where it does not begin like that.

    English, German, French, Spanish, Portuguese, Italian, Dutch, Polish, Russian, Chinese, Japanese, Korean. Precision
    before recall: a refusal in other words, or further down in a text, is not found, and a text that refuses in part
    and helps with the rest counts as one.
    """
    beginning = " ".join(text[: 2 * _BEGINNING].translate(_QUOTES).casefold().split())[:_BEGINNING].lstrip("\"'*_#>- ")
    found = _REFUSAL.match(beginning) or _REFUSALS_ELSEWHERE.match(beginning)
    return found[0] if found else None
