"""Which language a text is in, by py3langid's model, which comes with its package and needs no network."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

_CONFIDENT = 0.8  # docs/design.md, section 13: no English text of 4,751 was taken for another language at this
_LEAST_BYTES = 20  # of letters; below, nobody can tell
_NOT_PROSE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|[\d\W_]+", re.DOTALL)
# What the model tells apart and most people name by one code.
_MEMBERS: Final = {
    "ar": {"ar", "ary", "arz"}, "no": {"no", "nb", "nn"}, "zh": {"zh", "yue", "wuu"}, "uz": {"uz", "uzs"},
    "sr": {"sr", "bs", "hr"}, "hr": {"sr", "bs", "hr"}, "bs": {"sr", "bs", "hr"}, "ms": {"ms", "id"},
    "id": {"ms", "id"}, "fa": {"fa", "prs"}, "nb": {"no", "nb"}, "nn": {"no", "nn"},
}  # fmt: skip
_NO_LANGUAGE = "zxx"  # numbers, markup, names


@dataclass(frozen=True, slots=True)
class Language:
    """An ISO 639 code, and the model's probability for it among all that it knows."""

    code: str
    confidence: float


def identify(text: str) -> Language | None:
    """The language of a text; None where it cannot be told: too few letters, no language, or below 0.8 sure.

    Code in back quotes, addresses, numbers and signs don't count. Asked to tell, not to guess: see docs/design.md for
    how often it is wrong and how often it says nothing.
    """
    prose = " ".join(_NOT_PROSE.sub(" ", text).split())
    if len(prose.encode(errors="replace")) < _LEAST_BYTES:
        return None
    code, confidence = _model().classify(prose)
    return Language(code, float(confidence)) if confidence >= _CONFIDENT and code != _NO_LANGUAGE else None


def foreign(text: str, languages: Collection[str]) -> Language | None:
    """The language of a text that is surely in none of `languages`; None where it is, or where it cannot be told."""
    found = identify(text)
    wanted = {member for code in languages for member in _MEMBERS.get(code, {code})}
    return None if found is None or found.code in wanted else found


def known_languages() -> frozenset[str]:
    """The codes that `identify` can give, and those that stand for several of them."""
    codes: set[str] = set(_model().labels)
    return frozenset((codes | _MEMBERS.keys()) - {_NO_LANGUAGE})


@cache
def _model() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # 0.8 s, once a process

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
