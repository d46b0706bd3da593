"""How a text is written when two writings of it should count as one, and its words."""

import re
import unicodedata
from typing import Final

_PUNCTUATION: Final = str.maketrans(dict.fromkeys(".,;:!?…\"'`“”‘’«»()[]{}。，！？；：、「」¿¡", " "))
# Scripts that put no spaces between words: there a character counts as a word.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def same_text(text: str) -> str:
    """The form in which exact duplicates are equal: composed Unicode, one space for any white space, none outside.

    Case and punctuation stay, because code, names and formulas live by them.
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def plain_text(text: str) -> str:
    """The form in which resemblance is judged: compatible characters, case, spaces and sentence punctuation are gone.

    Other signs stay ("3 + 4", "3 - 4"). A text of nothing but punctuation stays what it is.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(plain.translate(_PUNCTUATION).split()) or plain


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; of scripts that put no spaces between words, characters."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
