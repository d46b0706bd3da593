"""Pseudonyms: the same under one key, others under another, and nothing to read in them."""

from pathlib import Path

import pytest

from potstill.errors import PotstillError
from potstill.guard.pseudonyms import KEY_VARIABLE, Pseudonyms, address_prefix, read_key

ONE, OTHER = Pseudonyms(b"0123456789abcdef"), Pseudonyms(b"fedcba9876543210")


def test_equal_identifiers_are_equal_under_one_key_and_field_only() -> None:
    mine = ONE.of("account", "anna@corp.example")
    assert mine == Pseudonyms(b"0123456789abcdef").of("account", "anna@corp.example")
    assert len({mine, OTHER.of("account", "anna@corp.example"), ONE.of("key", "anna@corp.example")}) == 3
    assert ONE.key_id != OTHER.key_id
    assert len(mine) == 24
    assert set(mine) <= set("0123456789abcdef")


def test_addresses_of_one_prefix_have_one_pseudonym() -> None:
    assert ONE.of("address_prefix", "198.51.100.7") == ONE.of("address_prefix", "198.51.100.0/24")
    assert ONE.of("address_prefix", "198.51.100.7") == ONE.of("address_prefix", "::ffff:198.51.100.9")
    assert ONE.of("address_prefix", "198.51.100.7") != ONE.of("address_prefix", "198.51.101.7")
    assert address_prefix("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert address_prefix("a proxy") == "a proxy"


def test_the_key_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"0123456789abcdef\n")
    assert read_key(tmp_path / "key") == b"0123456789abcdef"
    monkeypatch.setenv(KEY_VARIABLE, "a key of the environment")
    assert read_key() == b"a key of the environment"
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(PotstillError, match="openssl rand"):
        read_key()
    (tmp_path / "short").write_bytes(b"hunter2")
    with pytest.raises(PotstillError, match="can be guessed"):
        read_key(tmp_path / "short")
    with pytest.raises(PotstillError, match="cannot be read"):
        read_key(tmp_path / "none")
