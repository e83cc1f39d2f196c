from __future__ import annotations

import base64

import pytest
from support.vectors import load_vectors
from wgmesh.core.keys.private_key import PrivateKey


def test_public_keys_equal_those_of_wg() -> None:
    for pair in load_vectors("keys")["keys"]:
        key = PrivateKey(base64.b64decode(pair["private"]))
        assert key.public_key.text == pair["public"]
        assert key.reveal_text() == pair["private"]


def test_bytes_that_are_not_clamped_give_the_same_pair_as_the_clamped_ones() -> None:
    key = PrivateKey(b"\xff" * 32)
    assert key == PrivateKey(key.reveal())
    assert key.reveal()[0] & 7 == 0 and key.reveal()[31] & 0xC0 == 0x40


def test_the_repr_shows_nothing() -> None:
    assert repr(PrivateKey(bytes(32))) == "PrivateKey(...)"


def test_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        PrivateKey(bytes(31))
