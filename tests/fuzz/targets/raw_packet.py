"""nat/raw_datagram.py: packets as a raw socket hands them over."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from fuzz.rules import accepted
from wgmesh.core.stun.codec import request
from wgmesh.nat.raw_datagram import decapsulate, encapsulate, without_ipv4_header

SOURCE = ipaddress.IPv4Address("192.0.2.1")
DESTINATION = ipaddress.IPv4Address("192.0.2.2")


def seeds() -> Iterable[bytes]:
    segment = encapsulate(request(bytes(12)), (SOURCE, 3478), (DESTINATION, 51820))
    yield segment
    yield bytes([0x45]) + bytes(19) + segment
    yield bytes([0x4F]) + bytes(59) + segment
    yield b"\x45"


def check(data: bytes) -> None:
    body = accepted(lambda: without_ipv4_header(data))
    for segment in (data, *(() if body is None else (body,))):
        opened = accepted(lambda segment=segment: decapsulate(segment))  # type: ignore[misc]
        if opened is None:
            continue
        source_port, destination_port, payload = opened
        again = encapsulate(payload, (SOURCE, source_port), (DESTINATION, destination_port))
        assert decapsulate(again) == opened
