"""core/stun/codec.py: what a STUN server, or anybody in its name, may answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fuzz.rules import accepted
from support.vectors import load_vectors
from wgmesh.core.model import Endpoint
from wgmesh.core.stun.codec import (
    Attribute,
    AttributeType,
    Message,
    MessageType,
    decode,
    encode,
    request,
)

TRANSACTION = bytes(range(12))
WORDS = (b"\x21\x12\xa4\x42", b"\x01\x01", b"\x00\x20\x00\x08", b"\x80\x28\x00\x04", b"\x00\x09\x00\x04", b"\x80\x22")


def seeds() -> Iterable[bytes]:
    address = Endpoint.parse("192.0.2.1:4444")
    address6 = Endpoint.parse("[2001:db8::1]:4444")
    attributes = (
        Attribute(AttributeType.XOR_MAPPED_ADDRESS, address),
        Attribute(AttributeType.XOR_MAPPED_ADDRESS, address6),
        Attribute(AttributeType.MAPPED_ADDRESS, address),
        Attribute(AttributeType.SOFTWARE, "server"),
        Attribute(AttributeType.OTHER_ADDRESS, address6),
        Attribute(AttributeType.RESPONSE_ORIGIN, address),
    )
    yield request(TRANSACTION)
    yield encode(Message(MessageType.BINDING_SUCCESS, TRANSACTION, attributes), fingerprint=True)
    yield encode(Message(MessageType.BINDING_SUCCESS, TRANSACTION, attributes[:1]))
    yield encode(Message(MessageType.BINDING_ERROR, TRANSACTION, (Attribute(AttributeType.ERROR_CODE, 420),)))
    yield from _hexadecimal(load_vectors("stun"))


def check(data: bytes) -> None:
    message = accepted(lambda: decode(data))
    if message is None:
        return
    assert len(message.attributes) <= len(data) // 4
    # a fingerprint covers the very bytes that came, with all that was passed over in them
    kept = tuple(each for each in message.attributes if each.type is not AttributeType.FINGERPRINT)
    message = replace(message, attributes=kept)
    for fingerprint in (False, True):
        again = decode(encode(message, fingerprint=fingerprint))
        assert again.attributes[: len(kept)] == kept
        assert (again.type, again.transaction_id) == (message.type, message.transaction_id)


def _hexadecimal(value: object) -> Iterable[bytes]:
    """Every datagram among the golden data."""
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str) and name.endswith("hex") and len(item) >= 40:
                yield bytes.fromhex(item)
            else:
                yield from _hexadecimal(item)
    elif isinstance(value, list):
        for item in value:
            yield from _hexadecimal(item)
