from __future__ import annotations

from support.vectors import load_vectors
from wgmesh.core.membership import is_member, membership_token


def test_tokens_equal_upstreams() -> None:
    for case in load_vectors("membership")["cases"]:
        key, identity = bytes.fromhex(case["membership_key_hex"]), bytes.fromhex(case["pubkey_bytes_hex"])
        token = membership_token(key, identity, case["hour_epoch"] * 3600)
        assert token.hex() == case["token_hex"]


def test_a_token_holds_for_its_hour_and_the_neighbouring_ones() -> None:
    key, identity, hour = bytes(32), b"somebody", 500_000
    token = membership_token(key, identity, hour * 3600 + 10)
    assert [is_member(token, key, identity, (hour + shift) * 3600) for shift in (-2, -1, 0, 1, 2)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_token_of_another_length_key_or_identity_is_refused() -> None:
    token = membership_token(bytes(32), b"somebody", 0)
    assert not is_member(token[:-1], bytes(32), b"somebody", 0)
    assert not is_member(token, bytes(31) + b"\x01", b"somebody", 0)
    assert not is_member(token, bytes(32), b"somebody else", 0)
    assert not is_member(b"", bytes(32), b"somebody", 0)
