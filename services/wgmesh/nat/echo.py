"""ICMP and ICMPv6 echo as a raw socket reads and writes it (RFC 792, RFC 4443 section 4). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.nat.raw_datagram import internet_checksum

REQUEST = {4: 8, 6: 128}
REPLY = {4: 0, 6: 129}
TOKEN_BYTES = 8  # nobody who does not see the request can answer it
_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number


@dataclass(frozen=True, slots=True)
class Echo:
    """What a reply repeats of its request."""

    identifier: int
    sequence: int
    token: bytes


def encode_request(echo: Echo, version: int) -> bytes:
    """Returns the ICMP message. The kernel fills in the checksum of ICMPv6 (RFC 3542, section 3.1)."""
    unsummed = _HEADER.pack(REQUEST[version], 0, 0, echo.identifier, echo.sequence) + echo.token
    checksum = internet_checksum(unsummed) if version == 4 else 0
    return _HEADER.pack(REQUEST[version], 0, checksum, echo.identifier, echo.sequence) + echo.token


def decode_reply(message: bytes, version: int) -> Echo:
    """Reads what follows the IP header. Raises MalformedMessage for all but an echo reply."""
    if len(message) < _HEADER.size:
        raise MalformedMessage("an ICMP message has 8 bytes at least")
    kind, code, _, identifier, sequence = _HEADER.unpack_from(message)
    if kind != REPLY[version] or code:
        raise MalformedMessage("no echo reply")
    return Echo(identifier, sequence, message[_HEADER.size :])
