"""NAT-PMP (RFC 6886)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from wgmesh.core.errors import MalformedMessage

PORT = 5351
VERSION = 0
ADDRESS, MAP_UDP = 0, 1
RESPONSE = 0x80
SUCCESS = 0

_HEADER = struct.Struct("!BBHI")
_ADDRESS = struct.Struct("!BBHI4s")
_MAP_REQUEST = struct.Struct("!BBHHHI")
_MAP = struct.Struct("!BBHIHHI")

# section 3.5
RESULTS = {
    1: "does not speak this version",
    2: "does not permit it",
    3: "has no network",
    4: "has no room for it",
    5: "does not know the request",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a router says. `host` answers a question for its address, the others one for a mapping."""

    result: int
    epoch_s: int
    host: IPv4Address | None = None
    external_port: int = 0
    lifetime_s: int = 0


def address_request() -> bytes:
    return bytes((VERSION, ADDRESS))


def map_request(port: int, lifetime_s: int) -> bytes:
    """Asks to forward a UDP port from the same number outside, or with a lifetime of 0 no more to do so."""
    return _MAP_REQUEST.pack(VERSION, MAP_UDP, 0, port, port if lifetime_s else 0, lifetime_s)


def decode_address(data: bytes) -> Answer:
    """Returns where the router is outside. It says so, too, unasked, when that changes. Raises MalformedMessage."""
    result, epoch_s = _head(data, ADDRESS)
    if result != SUCCESS:
        return Answer(result, epoch_s)
    if len(data) != _ADDRESS.size:
        raise MalformedMessage("too short or too long for an address")
    return Answer(SUCCESS, epoch_s, host=IPv4Address(data[8:12]))


def decode_map(data: bytes, port: int, *, is_deletion: bool = False) -> Answer:
    """Returns the answer about this port. Raises MalformedMessage for anything else."""
    result, epoch_s = _head(data, MAP_UDP)
    if len(data) != _MAP.size:
        if result != SUCCESS:
            return Answer(result, epoch_s)
        raise MalformedMessage("too short or too long for a mapping")
    *_, said_port, external_port, lifetime_s = _MAP.unpack(data)
    if said_port != port:
        raise MalformedMessage("about another port")
    if result == SUCCESS and not external_port and not is_deletion:
        raise MalformedMessage("external port 0")
    return Answer(result, epoch_s, external_port=external_port, lifetime_s=lifetime_s)


def _head(data: bytes, opcode: int) -> tuple[int, int]:
    if not _HEADER.size <= len(data) <= _MAP.size:
        raise MalformedMessage("not the size of a NAT-PMP message")
    version, said, result, epoch_s = _HEADER.unpack_from(data)
    if version != VERSION or said != RESPONSE | opcode:
        raise MalformedMessage("an answer to another question")
    return result, epoch_s
