"""What the members of a private DHT say to each other inside the seal: rpcudp's two messages, kademlia's four calls.

    0 | id (20) | msgpack: [call, [key, value]]        1 | id (20) | msgpack: result

A result is a boolean for `ping` and `store`, a value, or nodes: their packed addresses and ports. The package's node
ids are left out, since they follow from addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

import umsgpack
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint

ID_BYTES = 20  # rpcudp's; random, so that only one who has read the request can answer it
KEY_BYTES = 20  # kademlia's ids span 160 bits
MAX_VALUE_BYTES = 900  # a member's record at its longest; it fits into one datagram
MAX_NODES = 8  # kademlia's k in this mesh
CALLS = {"ping": 0, "find_node": 1, "find_value": 1, "store": 2}  # and the number of their arguments
ARGUMENT_BYTES = (range(KEY_BYTES, KEY_BYTES + 1), range(1, MAX_VALUE_BYTES + 1))

Result = bool | bytes | tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A call. `arguments` are a key, and a value."""

    id: bytes
    call: str
    arguments: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the request with this id."""

    id: bytes
    result: Result = field(repr=False)


def encode(message: Request | Answer) -> bytes:
    """Returns the payload of a valid message; at most 958 bytes."""
    if isinstance(message, Request):
        return b"\x00" + message.id + _pack([message.call, list(message.arguments)])
    result = message.result
    return (
        b"\x01"
        + message.id
        + _pack([[each.host.packed, each.port] for each in result] if isinstance(result, tuple) else result)
    )


def decode(payload: bytes) -> Request | Answer:
    """Reads a payload. Raises MalformedMessage with a stable reason."""
    id_ = payload[1 : 1 + ID_BYTES]
    try:
        body = umsgpack.unpackb(payload[1 + ID_BYTES :])
    except (umsgpack.UnpackException, OverflowError, RecursionError):
        raise MalformedMessage("not msgpack") from None
    match payload[:1], body:
        case b"\x00", [str(call), list(arguments)] if _are_arguments(call, arguments):
            return Request(id_, call, tuple(arguments))
        case b"\x01", bool():
            return Answer(id_, body)
        case b"\x01", bytes() if 0 < len(body) <= MAX_VALUE_BYTES:
            return Answer(id_, body)
        case b"\x01", list() if len(body) <= MAX_NODES:
            return Answer(id_, tuple(map(_node, body)))
    raise MalformedMessage("neither a request nor an answer")


def _pack(body: object) -> bytes:
    packed: bytes = umsgpack.packb(body)
    return packed


def _are_arguments(call: str, arguments: Sequence[object]) -> bool:
    return CALLS.get(call) == len(arguments) and all(
        isinstance(each, bytes) and len(each) in lengths
        for each, lengths in zip(arguments, ARGUMENT_BYTES, strict=False)
    )


def _node(entry: object) -> Endpoint:
    match entry:
        case [bytes(packed), int(port)] if len(packed) in (4, 16) and 0 < port < 1 << 16:
            return Endpoint.of(str(ipaddress.ip_address(packed)), port)
    raise MalformedMessage("nodes: not an address and port")
