"""What a conversation with a router consists of: questions, fetches, and what was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit

LIFETIME_S = 7200  # RFC 6886, section 3.3: two hours, so that a node that vanished does not burden its router for days
LIFETIME_MIN_S = (
    120  # RFC 6887, section 15, the least that a router should give; a shorter one would be asked for often
)


class Protocol(StrEnum):
    """How a router is asked, in the order in which it is."""

    PCP = "PCP"
    NAT_PMP = "NAT-PMP"
    UPNP = "UPnP-IGD"


@dataclass(frozen=True, slots=True)
class Site:
    """The router, and our own address beside it."""

    gateway: IPv4Address
    own: IPv4Address


@dataclass(frozen=True, slots=True)
class Question:
    """Datagrams that are repeated until `decode` takes an answer. It raises MalformedMessage for what is none.

    An answer comes from the gateway, and from `port` of it unless that is None.
    """

    datagrams: tuple[Transmit, ...]
    decode: Callable[[bytes], object]
    port: int | None


@dataclass(frozen=True, slots=True)
class Fetch:
    """An HTTP request to a port of the gateway, answered with the bytes of the response, or None."""

    to: Endpoint
    request: bytes


@dataclass(frozen=True, slots=True)
class Control:
    """Where and as what an Internet gateway device takes orders."""

    to: Endpoint
    path: str
    service_type: str


@dataclass(frozen=True, slots=True)
class Made:
    """The router forwards `external` to our port `port`, for `lifetime_s` from its answer on."""

    protocol: Protocol
    port: int
    external: Endpoint
    lifetime_s: int
    control: Control | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A conversation that made nothing. With `is_final` no other protocol can do better."""

    reason: str
    is_final: bool = False
