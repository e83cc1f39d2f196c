from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import InvalidInput, MalformedMessage
from wgmesh.core.wire.datagram_seal import (
    FRESHNESS_S,
    MAX_DATAGRAM_BYTES,
    MAX_PAYLOAD_BYTES,
    NONCE_BYTES,
    OVERHEAD_BYTES,
    looks_sealed,
    seal,
    unseal,
)

KEY = bytes(range(32))
OTHER_KEY = bytes(32)
NOW = 1_763_800_000.75
payloads = st.binary(max_size=MAX_PAYLOAD_BYTES)
nonces = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)


@given(payloads, nonces)
def test_what_is_sealed_opens_again(payload: bytes, nonce: bytes) -> None:
    datagram = seal(payload, KEY, nonce, NOW)

    assert looks_sealed(datagram)
    assert len(datagram) == len(payload) + OVERHEAD_BYTES <= MAX_DATAGRAM_BYTES
    opened = unseal(datagram, KEY, NOW)
    assert (opened.payload, opened.nonce) == (payload, nonce)


@given(st.binary(max_size=100), nonces, st.data())
def test_whichever_bit_is_flipped_nothing_opens(payload: bytes, nonce: bytes, data: st.DataObject) -> None:
    datagram = bytearray(seal(payload, KEY, nonce, NOW))
    bit = data.draw(st.integers(0, 8 * len(datagram) - 1))
    datagram[bit // 8] ^= 1 << bit % 8

    with pytest.raises(MalformedMessage):
        unseal(bytes(datagram), KEY, NOW)


@given(st.binary(max_size=MAX_DATAGRAM_BYTES + 10))
def test_garbage_does_not_open(data: bytes) -> None:
    for datagram in (data, b"\xd1" + data):
        with pytest.raises(MalformedMessage):
            unseal(datagram, KEY, NOW)


def test_another_mesh_cannot_open_it() -> None:
    with pytest.raises(MalformedMessage, match="not sealed with this mesh's key"):
        unseal(seal(b"hello", OTHER_KEY, bytes(NONCE_BYTES), NOW), KEY, NOW)


@pytest.mark.parametrize("offset_s", [-FRESHNESS_S, 0, FRESHNESS_S])
def test_clocks_may_differ_by_ten_minutes(offset_s: float) -> None:
    assert unseal(seal(b"hello", KEY, bytes(NONCE_BYTES), int(NOW) + offset_s), KEY, int(NOW)).payload == b"hello"


def test_what_was_recorded_is_useless_after_ten_minutes() -> None:
    datagram = seal(b"hello", KEY, bytes(NONCE_BYTES), NOW)

    with pytest.raises(MalformedMessage, match="too old"):
        unseal(datagram, KEY, NOW + FRESHNESS_S + 1)
    with pytest.raises(MalformedMessage, match="in the future"):
        unseal(datagram, KEY, NOW - FRESHNESS_S - 1)


def test_a_payload_that_does_not_fit_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidInput, match="do not fit"):
        seal(bytes(MAX_PAYLOAD_BYTES + 1), KEY, bytes(NONCE_BYTES), NOW)


def test_neither_payload_nor_key_are_in_the_repr() -> None:
    assert "visible" not in repr(unseal(seal(b"visible", KEY, bytes(NONCE_BYTES), NOW), KEY, NOW))


@pytest.mark.parametrize("clock_s", [-1.0, 2.0**32, 9e9])
def test_a_clock_beyond_what_a_datagram_can_tell_seals_one_that_nobody_takes(clock_s: float) -> None:
    datagram = seal(b"hello", KEY, bytes(NONCE_BYTES), clock_s)

    with pytest.raises(MalformedMessage, match="timestamp"):
        unseal(datagram, KEY, NOW)
