"""Keys that two nodes share, and proofs made with them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import InvalidInput, WeakKey
from wgmesh.core.keys.possession import PROOF_BYTES, Agreement, PairKey, agree, proof, verify
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import PublicKey

# RFC 7748, section 6.1: Bob's private key, Alice's public key, and what they share
BOB = PrivateKey(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
ALICE_PUBLIC = PublicKey(bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"))
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")

ONE, TWO, THREE = (PrivateKey(bytes([number]) * 32) for number in (1, 2, 3))
PAIR = agree(ONE, TWO.public_key)
GOLDEN_PAIR = "7ba8001b7cd497579e058309cf09456f6958dce55c6a802277359cfb078a60e6"
GOLDEN_PROOF = "d702ff803af8b0b6af83e7dba22f29e6"

# 0 and 1, two points of order 8, p - 1, p, p + 1 (RFC 7748, section 7), and 0 with the bit that X25519 ignores
LOW_ORDER = (
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
    "00" * 31 + "80",
)

private_keys = st.binary(min_size=32, max_size=32).map(PrivateKey)
words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


def test_the_key_is_the_hkdf_of_the_shared_secret_with_both_public_keys_as_salt() -> None:
    salt = b"".join(sorted((BOB.public_key.raw, ALICE_PUBLIC.raw)))
    expected = HKDF(SHA256(), 32, salt, b"wgmesh-pair-v1").derive(SHARED)

    assert agree(BOB, ALICE_PUBLIC).reveal() == expected


def test_keys_and_proofs_stay_the_same_from_version_to_version() -> None:
    assert PAIR.reveal().hex() == GOLDEN_PAIR
    assert proof(PAIR, "hello", ONE.public_key, TWO.public_key, b"transcript").hex() == GOLDEN_PROOF


@given(private_keys, private_keys)
def test_both_sides_get_the_same_key(one: PrivateKey, two: PrivateKey) -> None:
    if one != two:
        assert agree(one, two.public_key) == agree(two, one.public_key)


def test_a_third_node_gets_another_key_with_either() -> None:
    assert len({PAIR, agree(THREE, ONE.public_key), agree(THREE, TWO.public_key)}) == 3


@pytest.mark.parametrize("text", LOW_ORDER)
def test_a_point_of_low_order_is_refused(text: str) -> None:
    with pytest.raises(WeakKey, match="low order"):
        agree(ONE, PublicKey(bytes.fromhex(text)))


def test_a_copy_of_our_key_agrees_with_it_as_we_do_and_nobody_else_does() -> None:
    copy = PrivateKey(ONE.reveal())

    assert agree(ONE, ONE.public_key) == agree(copy, ONE.public_key)
    assert agree(ONE, ONE.public_key) != agree(TWO, ONE.public_key) != agree(TWO, TWO.public_key)
    assert issubclass(WeakKey, InvalidInput)


@given(words, st.binary(max_size=200))
def test_the_other_side_finds_the_proof_good(purpose: str, transcript: bytes) -> None:
    made = proof(PAIR, purpose, ONE.public_key, TWO.public_key, transcript)

    assert len(made) == PROOF_BYTES
    assert verify(made, agree(TWO, ONE.public_key), purpose, ONE.public_key, TWO.public_key, transcript)


@given(st.binary(min_size=1, max_size=64), st.integers(0), st.sampled_from(("proof", "transcript", "key")))
def test_any_flipped_bit_fails(transcript: bytes, position: int, where: str) -> None:
    parts = {
        "proof": proof(PAIR, "hello", ONE.public_key, TWO.public_key, transcript),
        "transcript": transcript,
        "key": PAIR.reveal(),
    }
    parts[where] = flipped(parts[where], position)

    key = PairKey(parts["key"])
    assert not verify(parts["proof"], key, "hello", ONE.public_key, TWO.public_key, parts["transcript"])


@given(st.binary(max_size=32))
def test_a_proof_is_good_for_one_direction_one_purpose_and_one_length_only(transcript: bytes) -> None:
    one, two, three = (key.public_key for key in (ONE, TWO, THREE))
    made = proof(PAIR, "hello", one, two, transcript)

    assert not verify(made, PAIR, "hello", two, one, transcript), "reflected"
    assert not verify(made, PAIR, "reply", one, two, transcript)
    assert not verify(made, PAIR, "hello", one, three, transcript)
    assert not verify(made, PAIR, "hell", one, two, b"o" + transcript)
    assert not verify(made[:-1], PAIR, "hello", one, two, transcript)
    assert not verify(b"", PAIR, "hello", one, two, transcript)


@pytest.mark.parametrize("purpose", ["", "x" * 256])
def test_a_purpose_that_cannot_be_written_down_is_a_mistake(purpose: str) -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        proof(PAIR, purpose, ONE.public_key, TWO.public_key, b"")


def test_a_key_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        PairKey(bytes(31))


def test_a_pair_key_shows_nothing_of_itself() -> None:
    shown = f"{PAIR} {PAIR!r} {Agreement(TWO.public_key, PAIR)!r}"

    assert "PairKey(...)" in shown
    assert PAIR.reveal().hex() not in shown
    assert repr(PAIR.reveal()) not in shown


def flipped(data: bytes, position: int) -> bytes:
    position %= 8 * len(data)
    changed = bytearray(data)
    changed[position // 8] ^= 1 << position % 8
    return bytes(changed)
