"""Whether an answer says that it does not know, and whether it asks back instead of answering."""

import re
from typing import Final

from potstill.texts.refusals import refusal

_BEGINNING = 240  # characters in which abstaining shows itself, as a refusal does
_ENDING = 400  # characters in which the last sentence is looked for
_MOST_WORDS = 60  # of an answer that asks back; a longer one has answered, and then asks whether there is more
_QUOTES: Final = str.maketrans("’‘ʼ´“”", "''''\"\"")
_SOURCE: Final = (
    r"(?:text|passage|document|context|article|information|question|message|e-?mail|report|source|conversation|prompt|"
    r"input|record|note|description)"
)
_NOT_SAID: Final = r"(?:mention|say|specify|state|provide|contain|include|give|indicate|tell)"
# Each has who does not know, or what does not say it; "not sure" is none, because an answer mostly follows. They are
# written as casefold() writes them.
_PHRASES: Final = (
    r"\bi (?:do not|don't) (?:actually |really )?(?:know|have (?:enough|sufficient|any|that|this|the|access))\b",
    r"\bi have no (?:information|knowledge|data|way of knowing)\b",
    r"\bi(?:'m| am) not (?:aware of|able to (?:determine|tell|say))\b",
    r"\b(?:cannot|can't|can not|could not) (?:be )?(?:determined?|inferred)\b",
    r"\b(?:cannot|can't|can not) (?:tell|say|answer) (?:this |that )?(?:from|based on|without)\b",
    rf"\b{_SOURCE} (?:does not|doesn't|do not|don't|did not) {_NOT_SAID}\b",
    rf"\bnot (?:mentioned|specified|stated|given|provided|included|found|available) in the (?:\w+ )?{_SOURCE}\b",
    r"\b(?:there is|there's) (?:no|not enough|insufficient) (?:information|data|evidence|mention|context)\b",
    r"\bnot enough (?:information|context|data)\b|\binsufficient (?:information|context|data)\b",
    r"\bich weiss (?:es |das )?(?:leider )?nicht\b|\b(?:keine|nicht genug|zu wenig) (?:informationen|angaben)\b",
    r"\bgeht (?:aus \w+ \w+ )?nicht hervor\b",
    r"\b(?:text|dokument|artikel) (?:nennt|erwähnt|sagt|enthält)\b[^.]{0,30}\bnicht\b",
    r"\bje ne sais pas\b|\bpas (?:assez|suffisamment) d'informations?\b|\baucune information\b",
    r"\b(?:texte|document|article) ne (?:le )?(?:mentionne|précise|dit|indique) pas\b",
    r"\bno lo sé\b|\byo no sé\b|^no sé\b|\bno (?:hay|tengo) (?:suficiente )?información\b",
    r"\b(?:texto|documento|artículo) no (?:lo )?(?:menciona|indica|dice|especifica)\b",
    r"\beu não sei\b|^não sei\b|\bnão (?:há|tenho) informaç|\b(?:texto|documento|artigo) não (?:menciona|indica|diz)\b",
    r"\bnon lo so\b|\bnon (?:ho|ci sono) (?:abbastanza )?informazioni\b|\btesto non (?:lo )?(?:menziona|dice|indica)\b",
    r"\bik weet (?:het )?niet\b|\bniet genoeg informatie\b|\bnie wiem\b|\bbrak informacji\b",
    r"\bя не знаю\b|\bнет (?:такой )?информации\b|\bнедостаточно (?:информации|данных)\b",
    r"我不(?:知道|清楚|确定)|(?:文中|文章|文本|原文|上下文)?(?:没有|未|並未|并未)(?:提到|提及|说明|說明)|(?:无法|無法)(?:确定|判断|得知|確定|判斷)",
    r"(?:分|わ)かりません|情報が(?:ない|ありません|不足)|(?:記載|言及)(?:されていません|がありません)",
    r"모르겠|알 수 없|정보가 (?:없|부족)",
)
_ABSTAINS: Final = re.compile("|".join(f"(?:{one})" for one in _PHRASES))
_ALONE: Final = re.compile(
    r"\W*(?:unknown|unanswerable|no answer|not (?:specified|mentioned|stated|given|provided|available)|n/?a|none given|"
    r"unbekannt|nicht angegeben|inconnu|non précisé|desconocido|no especificado|sconosciuto|onbekend|неизвестно|未知|"
    r"不明)\W*"
)
_OFFERS: Final = re.compile(
    r"\b(?:anything else|any (?:other|further|more) questions?|would you like (?:me|to|more|a|an|any)|"
    r"shall i|want me to|(?:can|may) i help|(?:can|may) i assist|how can i|does (?:this|that) help|"
    r"need (?:any )?(?:more|further)|"
    r"noch (?:etwas|fragen|weiter)|soll ich|kann ich (?:dir|ihnen|sonst)|"
    r"souhait\w+|voulez-vous que|puis-je|autre chose|quieres que|le gustaría|te gustaría|desea que|algo más|"
    r"gostaria|deseja|mais alguma|vuoi che|desidera|posso aiut\w+|nog iets|zal ik)\b|"
    r"хотите|ещё вопрос|需要我|还有什么|還有什麼|他に|お手伝い|도와"
)
_QUESTION_MARKS: Final = "?？؟"
_CLOSERS: Final = " \t\r\n\"'*_)`»”’」)）"


def abstains(text: str) -> bool:
    """Whether a text refuses, or says that it does not know or was not told.

    By phrases at its beginning, in the languages of `refusal`. Precision before recall: abstaining in other words is
    not found, and an answer that says of one part that it is not known, and gives the rest, counts as abstaining.
    """
    if refusal(text) is not None:
        return True
    beginning = " ".join(text[: 2 * _BEGINNING].translate(_QUOTES).casefold().split())[:_BEGINNING]
    short = len(text) <= _BEGINNING
    return _ABSTAINS.search(beginning) is not None or (short and _ALONE.fullmatch(beginning) is not None)


def asks_back(text: str) -> bool:
    """Whether a text ends in a question to its reader and gives no long answer before: a clarifying question.

    An offer of more help ("Is there anything else?") is none. In any language that marks questions; of a job whose
    answers are questions (say, to write one) every answer counts, of teacher and student alike.
    """
    ending = text[-_ENDING:].rstrip(_CLOSERS)
    if not ending or ending[-1] not in _QUESTION_MARKS or len(text) > 20 * _MOST_WORDS:
        return False
    start = max(ending.rfind(mark, 0, -1) for mark in (*".!。！\n", *_QUESTION_MARKS))
    question = ending[start + 1 :].translate(_QUOTES).casefold()
    return len(text.split()) <= _MOST_WORDS and _OFFERS.search(question) is None
