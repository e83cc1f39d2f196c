"""core/wire/member_record.py: what lies in a DHT, and what a member may have sealed there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fuzz.messages import GO, NOW
from fuzz.rules import accepted
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.jsonstrict import to_json
from wgmesh.core.wire.member_record import (
    ENDPOINTS_MAX,
    NONCE_BYTES,
    RECORD_BYTES_MAX,
    RECORD_VERSION,
    MemberRecord,
    open_record,
    seal_record,
)

KEY, PLACE, NONCE = bytes([1]) * 32, b"place", bytes(NONCE_BYTES)
RAW = b"\0"  # else the rest is a plaintext to seal
WORDS = tuple(
    f'"{name}":'.encode() for name in ("key", "ip", "at", "rev", "exchanges", "candidates", "name", "nat", "introducer")
)


def seeds() -> Iterable[bytes]:
    plain = MemberRecord(GO.key, ipaddress.IPv4Address("10.1.2.3"), int(NOW), 7)
    full = replace(
        plain,
        exchanges=(Endpoint.parse("192.0.2.1:52527"), Endpoint.parse("[2001:db8::1]:52527")),
        candidates=(Endpoint.parse("192.0.2.1:51820"),),
        hostname="attic",
        nat_type="cone",
        introducer=True,
    )
    for record in (plain, full):
        yield RAW + seal_record(record, KEY, PLACE, NONCE)
        yield b"\1" + AESGCM(KEY).decrypt(NONCE, seal_record(record, KEY, PLACE, NONCE)[1 + NONCE_BYTES :], PLACE)
    yield b"\1" + to_json({"key": GO.key.text, "ip": "10.1.2.3", "at": 1, "rev": 1, "exchanges": ["x"] * 9})


def check(data: bytes) -> None:
    sealed = data[1:]
    if data[:1] != RAW:
        sealed = bytes((RECORD_VERSION,)) + NONCE + AESGCM(KEY).encrypt(NONCE, sealed, PLACE)
    record = accepted(lambda: open_record(sealed, KEY, PLACE, NOW))
    if record is None:
        return
    assert accepted(lambda: open_record(sealed, KEY, b"elsewhere", NOW)) is None
    assert accepted(lambda: open_record(sealed, bytes(32), PLACE, NOW)) is None
    assert len(record.exchanges) <= ENDPOINTS_MAX and len(record.candidates) <= ENDPOINTS_MAX
    again = seal_record(record, KEY, PLACE, NONCE)
    assert len(again) <= RECORD_BYTES_MAX
    reopened = open_record(again, KEY, PLACE, NOW)
    assert (reopened.public_key, reopened.revision) == (record.public_key, record.revision)
