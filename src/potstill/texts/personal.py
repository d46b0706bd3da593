"""Personal data in a text by its pattern and, where there is one, its check digit; values are masked, never given."""

import hashlib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

Kind = Literal["email", "phone", "card", "iban", "ip_address", "us_ssn"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_EMAIL: Final = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![\w-])")
# With a country's prefix, or as North America writes it; digits alone are more often an order than a person.
_PHONE: Final = re.compile(
    r"(?<![\w+./-])(?<!\d )(?:\+[1-9]|00[1-9](?=\d{0,2}[ ./()-]))(?:[ ./()-]{0,2}\d){6,14}(?![\w-]|\.\d)"
    r"|(?<![\w+./-])(?<!\d )(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-.]\d{4}(?![\w-]|\.\d)"
)
_CARD: Final = re.compile(r"(?<![\w.+-])[2-6](?:[ -]?\d){12,18}(?![\w-]|\.\d)")
_IBAN: Final = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_IPV4: Final = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::{1,2}[0-9A-Fa-f]{1,4}){2,7}(?![\w:])")
_SSN: Final = re.compile(r"(?<![\w.-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])")
# Of the countries with most accounts; the length tells where a number ends that words follow.
_IBAN_LENGTHS: Final = {
    "AE": 23, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24,
    "SE": 24, "SI": 19, "SK": 24, "TR": 26, "UA": 29,
}  # fmt: skip
_NOBODYS: Final = re.compile(
    r"(?:^|[@.])(?:example\.(?:com|org|net)|[^.@]+\.(?:example|invalid|test|localhost))$", re.I
)
_LEAST_DIGITS = 7


@dataclass(frozen=True, slots=True)
class PersonalDatum:
    """One find: its kind, how it may be shown, and a digest by which equal values are known for equal."""

    kind: Kind
    masked: str
    digest: int  # 64 bits of BLAKE2b: to count by, within one report


def personal_data(text: str) -> list[PersonalDatum]:
    """E-mail addresses, phone and card numbers, IBANs, public IP addresses and US social security numbers of a text.

    Card numbers must pass the Luhn check and have a brand's beginning and length, IBANs the check of ISO 7064.
    Addresses of the reserved domains (example.com, .invalid) and private or documentation IP addresses are nobody's.
    Names, street addresses and numbers without a known form are not found.
    """
    return [datum for datum, _ in _finds(text)]


def without_personal_data(text: str) -> str:
    """The text with what `personal_data` finds in it masked."""
    for datum, (start, end) in sorted(_finds(text), key=lambda one: one[1], reverse=True):
        text = text[:start] + datum.masked + text[end:]
    return text


def _finds(text: str) -> list[tuple[PersonalDatum, tuple[int, int]]]:
    """What is found, and where; no two finds overlap."""
    found: list[tuple[PersonalDatum, tuple[int, int]]] = []
    if "@" in text:
        found += [(_email(one[0]), one.span()) for one in _EMAIL.finditer(text) if not _NOBODYS.search(one[0])]
    if text.count(":") > 1:
        for one in _public(_IPV6, text):
            found.append((_datum("ip_address", one[0], f"{one[0].partition(':')[0]}:…"), one.span()))
    some_digits = sum(map(text.count, "0123456789"))
    candidates = _numbers(text) if some_digits >= _LEAST_DIGITS else _addresses(text) if some_digits > 3 else ()
    for datum, span in candidates:
        if all(span[1] <= start or span[0] >= end for _, (start, end) in found):
            found.append((datum, span))
    return found


def _addresses(text: str) -> Iterator[tuple[PersonalDatum, tuple[int, int]]]:
    for one in _public(_IPV4, text):
        yield _datum("ip_address", one[0], f"{one[0].partition('.')[0]}.*.*.*"), one.span()


def _numbers(text: str) -> Iterator[tuple[PersonalDatum, tuple[int, int]]]:
    """Finds of digits, those with a check digit first: what one of them covers is not a phone number too."""
    for one in _IBAN.finditer(text):
        value = re.sub(" ", "", one[0])[: _IBAN_LENGTHS.get(one[0][:2], 34)]
        if len(value) >= _IBAN_LENGTHS.get(value[:2], 15) and _mod_97(value) == 1:
            yield _datum("iban", value, f"{value[:2]}** … **{value[-2:]}"), one.span()
    for one in _CARD.finditer(text):
        digits = re.sub(r"\D", "", one[0])
        if _is_brand(digits) and _luhn(digits):
            yield _datum("card", digits, f"**** … **{digits[-2:]}"), one.span()
    for one in _SSN.finditer(text):
        yield _datum("us_ssn", one[0], f"***-**-**{one[0][-2:]}"), one.span()
    yield from _addresses(text)
    for one in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", one[0])
        if 8 <= len(digits) <= 15:
            shown = re.sub(r"\d", "*", one[0][:-2]) + one[0][-2:]
            yield _datum("phone", digits, shown), one.span()


def _email(value: str) -> PersonalDatum:
    return _datum("email", value.casefold(), f"{value[0]}***@***.{value.rpartition('.')[2]}")


def _public(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    for one in pattern.finditer(text):
        try:
            if ipaddress.ip_address(one[0]).is_global:
                yield one
        except ValueError:
            continue


def _is_brand(digits: str) -> bool:
    """Whether a number begins and is as long as one of Visa, Mastercard, American Express, Diners, Discover, JCB."""
    two, four, length = int(digits[:2]), int(digits[:4]), len(digits)
    if digits[0] == "4":
        return length in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return length == 16
    if two in (34, 37):
        return length == 15
    if two in (36, 38, 39) or 300 <= int(digits[:3]) <= 305:
        return length == 14
    return (two in (60, 64, 65) or 3528 <= four <= 3589) and length in (16, 19)


def _luhn(digits: str) -> bool:
    total = 0
    for at, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + at % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _mod_97(value: str) -> int:
    return int("".join(str(int(one, 36)) for one in value[4:] + value[:4])) % 97


def _datum(kind: Kind, value: str, masked: str) -> PersonalDatum:
    digest = hashlib.blake2b(f"{kind}:{value}".encode(errors="replace"), digest_size=8).digest()
    return PersonalDatum(kind, masked, int.from_bytes(digest, "big"))
