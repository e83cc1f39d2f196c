"""core/wire/envelope.py: datagrams as they come, and sealed bytes that are no message."""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.messages import NOW, TYPES, payloads, sealed
from fuzz.rules import accepted
from support.discovery.discovery_wire import KEYS
from support.vectors import load_vectors
from wgmesh.core.wire.envelope import (
    FRESHNESS_S,
    MAX_DATAGRAM_BYTES,
    MAX_TYPE_CHARACTERS,
    Opened,
    encrypt,
    open_envelope,
    plaintext_room,
)

RAW = b"\0"  # a first byte below the number of types chooses the type of a plaintext to seal
OTHER_KEY = bytes(32)
WORDS = (
    b'{"type":"',
    b'","nonce":"',
    b'","ciphertext":"',
    b'"}',
    b"HELLO",
    b'"msg_type":"HELLO"',
    b'"protocol":"wgmesh-v1"',
)


def seeds() -> Iterable[bytes]:
    for case in load_vectors("envelopes")["open"]:
        yield RAW + bytes.fromhex(case["datagram_hex"])
    for number, message_type in enumerate(TYPES, start=1):
        yield RAW + sealed(message_type, payloads()[message_type])
        yield bytes([number]) + payloads()[message_type]


def check(data: bytes) -> None:
    if not data or not 1 <= data[0] <= len(TYPES):
        datagram = data[1:]
    else:
        message_type, plaintext = TYPES[data[0] - 1], data[1:]
        datagram = encrypt(message_type, plaintext, KEYS.gossip_key, bytes(12))
        assert len(plaintext) <= plaintext_room(message_type, len(datagram))
    opened = accepted(lambda: open_envelope(datagram, KEYS.gossip_key, NOW))
    if opened is not None:
        _check_opened(opened, datagram)
        assert accepted(lambda: open_envelope(datagram, OTHER_KEY, NOW)) is None


def _check_opened(opened: Opened, datagram: bytes) -> None:
    assert len(datagram) <= MAX_DATAGRAM_BYTES
    assert len(opened.nonce) == 12
    assert abs(NOW - opened.timestamp) <= FRESHNESS_S
    assert len(opened.type) <= MAX_TYPE_CHARACTERS and opened.type.isprintable()
    assert "payload" not in repr(opened)
