"""Personal data: what is found, what is not taken for it, and that no value gets out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.texts.personal import KINDS, personal_data, without_personal_data


@pytest.mark.parametrize(
    ("text", "kind", "masked"),
    [
        ("Write to anna.berg+x@potstill-mail.dev.", "email", "a***@***.dev"),
        ("Call +49 30 901820 today", "phone", "+** ** ****20"),
        ("Call +1 (202) 555-0143.", "phone", "+* (***) ***-**43"),
        ("or (202) 555-0143", "phone", "(***) ***-**43"),
        ("or 202-555-0143,", "phone", "***-***-**43"),
        ("0049 30 901820", "phone", "**** ** ****20"),
        ("card 4242 4242 4242 4242 please", "card", "**** … **42"),
        ("card 4242424242424242", "card", "**** … **42"),
        ("amex 378282246310005", "card", "**** … **05"),
        ("5555-5555-5555-4444", "card", "**** … **44"),
        ("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFF", "iban", "DE** … **00"),
        ("GB82WEST12345698765432", "iban", "GB** … **32"),
        ("from 8.8.8.8, twice", "ip_address", "8.*.*.*"),
        ("from 2a00:1450:4001:81b::200e again", "ip_address", "2a00:…"),
        ("SSN 078-05-1120", "us_ssn", "***-**-**20"),
    ],
)
def test_each_kind_is_found_and_masked(text: str, kind: str, masked: str) -> None:
    assert [(one.kind, one.masked) for one in personal_data(text)] == [(kind, masked)]


@pytest.mark.parametrize(
    "text",
    [
        "jane@example.com and root@host.invalid are nobody's",
        "decorators such as @cache, @app.route",
        "order 4242424242424241",  # fails the Luhn check
        "order 9242424242424242",  # no brand's beginning
        "DE88 3704 0044 0532 0130 00",  # fails its check
        "192.168.0.1, 10.0.0.7, 127.0.0.1, 203.0.113.9, 256.1.1.1 and version v1.2.3.4",
        "at 12:30:45 on 2026-01-31, 2026.01.31 or 31/01/2026",
        "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000",
        "id 202-555-01433 and part 1202-555-0143",
        "3.14159265358979, 1,000,000.00 and 1234567890",
        "tracking 00340434161094042557",
        "std::vector, fe80::1, a::b",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert personal_data(text) == []


def test_equal_values_have_equal_digests_however_they_are_spaced() -> None:
    one, other, third = (personal_data(f"x {card} y")[0] for card in ("4242 4242 4242 4242", "4242424242424242",
                                                                     "4000 0000 0000 0002"))  # fmt: skip
    assert one.digest == other.digest != third.digest


@given(st.from_regex(r"[a-z]{3,9}\.[a-z]{3,9}@[a-z]{4,9}\.dev", fullmatch=True), st.text(max_size=20))
def test_of_an_address_only_its_first_letter_and_domain_get_out(address: str, around: str) -> None:
    masked = [one.masked for one in personal_data(f"{around} {address} ") if one.kind == "email"]
    assert f"{address[0]}***@***.dev" in masked


def test_a_text_is_shown_without_what_is_found_in_it() -> None:
    text = "Anna, anna@potstill-mail.dev, 8.8.8.8, card 4242 4242 4242 4242."
    assert without_personal_data(text) == "Anna, a***@***.dev, 8.*.*.*, card **** … **42."


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(one.kind in KINDS for one in personal_data(text))
