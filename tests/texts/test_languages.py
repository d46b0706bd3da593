"""Languages: told where they can be told, and not guessed where they cannot."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.texts.languages import foreign, identify, known_languages

SENTENCES = {
    "en": "The parcel will be delivered to your neighbour on Thursday morning, unless you tell us otherwise.",
    "de": "Das Paket wird am Donnerstagmorgen bei Ihrem Nachbarn abgegeben, sofern Sie nichts anderes wünschen.",
    "fr": "Le colis sera remis à votre voisin jeudi matin, sauf si vous nous indiquez le contraire avant mercredi.",
    "es": "El paquete se entregará a su vecino el jueves por la mañana, a menos que nos indique lo contrario.",
    "pl": "Paczka zostanie dostarczona do sąsiada w czwartek rano, chyba że poinformują nas państwo inaczej.",
    "ru": "Посылка будет доставлена вашему соседу в четверг утром, если вы не сообщите нам иное.",
    "zh": "除非您另行通知，否则包裹将于星期四上午送到您的邻居家。",
    "ja": "特にご連絡がない限り、荷物は木曜日の朝にお隣の方へお届けします。",
    "ar": "سيتم تسليم الطرد إلى جارك صباح يوم الخميس ما لم تخبرنا بخلاف ذلك.",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_in_its_language(code: str) -> None:
    found = identify(SENTENCES[code])
    assert found is not None
    assert found.code == code
    assert 0.8 <= found.confidence <= 1


@pytest.mark.parametrize("text", ["", "OK.", "42", "3 + 4 = 7", "?" * 50, "kein", "https://example.com/das-paket-wird"])
def test_what_cannot_be_told_is_not_guessed(text: str) -> None:
    assert identify(text) is None
    assert foreign(text, ["en"]) is None


def test_code_does_not_count() -> None:
    assert identify("```python\ndef zeit(): return 'Das Paket wird am Donnerstagmorgen abgegeben'\n```") is None
    mixed = identify(SENTENCES["en"] + "\n```\nDas Paket wird am Donnerstagmorgen bei Ihrem Nachbarn abgegeben\n```")
    assert mixed is not None
    assert mixed.code == "en"


def test_only_a_language_that_was_not_asked_for_is_foreign() -> None:
    found = foreign(SENTENCES["fr"], ["en", "de"])
    assert found is not None
    assert found.code == "fr"
    assert foreign(SENTENCES["fr"], ["en", "fr"]) is None


def test_codes_for_several_cover_what_the_model_tells_apart() -> None:
    norwegian = "Pakken blir levert til naboen din torsdag morgen, med mindre du gir oss beskjed om noe annet."
    assert foreign(norwegian, ["no"]) is None
    assert {"no", "nb", "en", "zh"} <= known_languages()


@settings(max_examples=50)
@given(st.text())
def test_any_text_has_a_known_language_or_none(text: str) -> None:
    found = identify(text)
    assert found is None or found.code in known_languages()
