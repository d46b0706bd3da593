"""Pseudonyms for identifiers: HMAC-SHA256 under a key of the operator's, which is read and never written."""

import hmac
import ipaddress
import os
from pathlib import Path
from typing import Final

from potstill.errors import PotstillError

KEY_VARIABLE: Final = "POTSTILL_GUARD_KEY"
_LEAST_BYTES = 16
_DIGITS = 24  # 96 bits: a hundred million values collide with a chance of one in 10^13
_LONGEST_KEPT = 256  # characters
_KEPT = 1 << 18  # pseudonyms remembered before the memory is emptied; some 60 MB


def read_key(file: Path | None = None, variable: str = KEY_VARIABLE) -> bytes:
    """The key from a file, or else from an environment variable; white space around it does not count.

    Raises PotstillError where there is none, or one of fewer than 16 bytes.
    """
    if file is not None:
        try:
            key, where = file.read_bytes().strip(), str(file)
        except OSError as error:
            raise PotstillError(f"{file}: the key cannot be read ({error.strerror})") from None
    else:
        key, where = os.environ.get(variable, "").encode("utf-8", "surrogateescape").strip(), variable
        if not key:
            raise PotstillError(
                f"identifiers need a key for their pseudonyms: --key FILE, or the variable {variable}; make one with "
                "`openssl rand -hex 32 > guard.key`, and keep it: the same key gives the same pseudonyms"
            )
    if len(key) < _LEAST_BYTES:
        raise PotstillError(
            f"{where}: a key of {len(key)} bytes can be guessed; take {_LEAST_BYTES} random ones or more"
        )
    return key


class Pseudonyms:
    """Turns identifiers into pseudonyms: equal ones of one field are equal, and nothing else can be read from them.

    A value has other pseudonyms in other fields. `key_id` tells keys apart without giving the key away.
    """

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")  # copied, which takes half the time of a new one
        self._known: dict[tuple[str, str], str] = {}
        self.key_id = hmac.digest(key, b"potstill guard key id", "sha256").hex()[:8]

    def of(self, field: str, value: str) -> str:
        """The pseudonym of a field's value: 24 hexadecimal digits. Of addresses, only the prefix counts."""
        found = self._known.get((field, value))
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            counts = address_prefix(value) if field == "address_prefix" else value
            message = f"{field}\0{counts}".encode("utf-8", "surrogatepass")
            mine = self._keyed.copy()
            mine.update(message)
            found = mine.hexdigest()[:_DIGITS]
            if len(value) <= _LONGEST_KEPT:  # callers write user agents of any length
                self._known[field, value] = found
        return found


def address_prefix(value: str) -> str:
    """The network that an address is in: /24 of IPv4, /48 of IPv6. Other texts stay as they are."""
    try:
        address = ipaddress.ip_address(value.strip())
    except ValueError:
        return value.strip()
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
