"""What the members of the private DHT say to each other, inside the seal: kademlia's four calls in a fixed layout.

    kind (1) | id (16) | body

A fixed layout and not rpcudp's msgpack: nothing to nest, nothing that names a function, and every length is known.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_store import KEY_BYTES, MAX_VALUE_BYTES

ID_BYTES = 16  # random: only who has read the request can answer it
MAX_CONTACTS = 8  # kademlia's k, and all that fits beside a value

_IPV4, _IPV6 = 4, 6


class Kind(IntEnum):
    """A request, or the answer to one (its number plus 0x80)."""

    PING = 0x01
    FIND_NODE = 0x02
    FIND_VALUE = 0x03
    STORE = 0x04
    PONG = 0x81
    NODES = 0x82
    VALUE = 0x83
    STORED = 0x84

    @property
    def is_answer(self) -> bool:
        return self >= Kind.PONG

    @property
    def answer(self) -> Kind:
        return Kind(self + 0x80)


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Which members count depends on its kind.

    `key`: FIND_NODE, FIND_VALUE, STORE. `value`: STORE, VALUE (empty: none). `you`: where the request came from, in
    every answer. `contacts`: NODES, VALUE. `is_kept`: STORED.
    """

    kind: Kind
    id: bytes
    key: bytes = b""
    value: bytes = field(default=b"", repr=False)
    you: Endpoint | None = None
    contacts: tuple[Endpoint, ...] = ()
    is_kept: bool = False


def encode(message: Message) -> bytes:
    """Returns the payload of a valid message; at most 1089 bytes."""
    body = b""
    kind = message.kind
    if message.you is not None:
        body += _endpoint_bytes(message.you)
    if kind in (Kind.FIND_NODE, Kind.FIND_VALUE, Kind.STORE):
        body += bytes((len(message.key),)) + message.key
    if kind in (Kind.NODES, Kind.VALUE):
        body += bytes((len(message.contacts),)) + b"".join(map(_endpoint_bytes, message.contacts))
    if kind in (Kind.STORE, Kind.VALUE):
        body += message.value
    if kind is Kind.STORED:
        body += bytes((message.is_kept,))
    return bytes((kind,)) + message.id + body


def decode(payload: bytes) -> Message:
    """Reads a payload. Raises MalformedMessage with a stable reason."""
    reader = _Reader(payload)
    number = reader.byte("kind")
    if number not in _KINDS:
        raise MalformedMessage("kind: unknown")
    kind = Kind(number)
    id_ = reader.take("id", ID_BYTES)
    you = reader.endpoint("you") if kind.is_answer else None
    key = value = b""
    contacts: tuple[Endpoint, ...] = ()
    is_kept = False
    if kind in (Kind.FIND_NODE, Kind.FIND_VALUE, Kind.STORE):
        length = reader.byte("key")
        if length not in KEY_BYTES:
            raise MalformedMessage("key: not 20 or 32 bytes")
        key = reader.take("key", length)
    if kind in (Kind.NODES, Kind.VALUE):
        count = reader.byte("contacts")
        if count > MAX_CONTACTS:
            raise MalformedMessage("contacts: too many")
        contacts = tuple(reader.endpoint("contacts") for _ in range(count))
    if kind in (Kind.STORE, Kind.VALUE):
        value = reader.rest()
        if len(value) > MAX_VALUE_BYTES or (kind is Kind.STORE and not value):
            raise MalformedMessage("value: too long or empty")
    if kind is Kind.STORED:
        is_kept = reader.byte("is_kept") == 1
    if reader.rest():
        raise MalformedMessage("too long")
    return Message(kind, id_, key, value, you, contacts, is_kept)


_KINDS = frozenset(Kind)


def _endpoint_bytes(endpoint: Endpoint) -> bytes:
    return bytes((endpoint.host.version,)) + endpoint.host.packed + struct.pack("!H", endpoint.port)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, name: str, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        if len(taken) != length:
            raise MalformedMessage(f"{name}: too short")
        self._at += length
        return taken

    def byte(self, name: str) -> int:
        return self.take(name, 1)[0]

    def rest(self) -> bytes:
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest

    def endpoint(self, name: str) -> Endpoint:
        version = self.byte(name)
        if version not in (_IPV4, _IPV6):
            raise MalformedMessage(f"{name}: no such address family")
        host = ipaddress.ip_address(self.take(name, 4 if version == _IPV4 else 16))
        (port,) = struct.unpack("!H", self.take(name, 2))
        if port == 0 or (isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None):
            raise MalformedMessage(f"{name}: not an address and port")
        return Endpoint(host, port)
