"""PCP's MAP and ANNOUNCE (RFC 6887), as far as a client of IPv4 needs them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint

PORT = 5351
ANNOUNCEMENT_PORT = 5350
VERSION = 2
NONCE_BYTES = 12
MESSAGE_MAX_BYTES = 1100  # section 7

ANNOUNCE, MAP = 0, 1
RESPONSE = 0x80
UDP = 17
SUCCESS = 0
UNSUPPORTED_VERSION = 1
NATPMP_VERSION = 0

_REQUEST = struct.Struct("!BBHI16s")
_RESPONSE = struct.Struct("!BBBBII12x")
_MAP = struct.Struct("!12sB3xHH16s")

# section 7.4
RESULTS = {
    1: "does not speak this version",
    2: "does not permit it",
    3: "found the request malformed",
    4: "does not know the request",
    5: "does not know an option",
    6: "found an option malformed",
    7: "has no network",
    8: "has no room for it",
    9: "does not forward UDP",
    10: "has given this client too many already",
    11: "cannot give this external address",
    12: "is not next to this host: another NAT lies between",
    13: "has too many remote hosts",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says to a MAP. `external` is None unless `result` is 0; `epoch_s` is None where it gives none."""

    result: int
    lifetime_s: int = 0
    epoch_s: int | None = None
    external: Endpoint | None = None


def map_request(own: IPv4Address, nonce: bytes, port: int, lifetime_s: int) -> bytes:
    """Asks to forward a port from the same number outside, or with a lifetime of 0 no more to do so."""
    suggested = port if lifetime_s else 0
    body = _MAP.pack(nonce, UDP, port, suggested, _mapped(IPv4Address(0)))
    return _REQUEST.pack(VERSION, MAP, 0, lifetime_s, _mapped(own)) + body


def decode_map(data: bytes, nonce: bytes, port: int, *, is_deletion: bool = False) -> Answer:
    """Returns the answer to the MAP with this nonce. Raises MalformedMessage for anything else."""
    if len(data) < 4 or len(data) > MESSAGE_MAX_BYTES:
        raise MalformedMessage("a PCP message has 24 to 1100 bytes")
    if data[0] != VERSION:
        return _other_version(data)
    if len(data) < _RESPONSE.size + _MAP.size or len(data) % 4:
        raise MalformedMessage("too short for an answer to a MAP")
    _, opcode, _, result, lifetime_s, epoch_s = _RESPONSE.unpack_from(data)
    said_nonce, protocol, said_port, external_port, address = _MAP.unpack_from(data, _RESPONSE.size)
    if opcode != RESPONSE | MAP or (said_nonce, protocol, said_port) != (nonce, UDP, port):
        raise MalformedMessage("an answer to another question")
    if result != SUCCESS or is_deletion:
        return Answer(result, lifetime_s, epoch_s)
    if not external_port:
        raise MalformedMessage("external port 0")
    host = IPv6Address(address).ipv4_mapped
    if host is None:
        raise MalformedMessage("an external address that is not IPv4")
    return Answer(SUCCESS, lifetime_s, epoch_s, Endpoint(host, external_port))


def decode_announcement(data: bytes) -> int:
    """Returns the epoch of an unsolicited ANNOUNCE (section 14.1). Raises MalformedMessage."""
    if not _RESPONSE.size <= len(data) <= MESSAGE_MAX_BYTES or data[0] != VERSION:
        raise MalformedMessage("no PCP message")
    _, opcode, _, result, _, epoch_s = _RESPONSE.unpack_from(data)
    if opcode != RESPONSE | ANNOUNCE or result != SUCCESS:
        raise MalformedMessage("no ANNOUNCE")
    return int(epoch_s)


def _other_version(data: bytes) -> Answer:
    """A server of NAT-PMP says by its own format that it does not know PCP (RFC 6887, appendix A)."""
    result = int.from_bytes(data[2:4], "big") if data[0] == NATPMP_VERSION else data[3]
    if not data[1] & RESPONSE or result != UNSUPPORTED_VERSION:
        raise MalformedMessage("not a message of this version")
    return Answer(UNSUPPORTED_VERSION)


def _mapped(host: IPv4Address) -> bytes:
    return IPv6Address(f"::ffff:{host}").packed
