"""What a check of the network finds: plain values, each with the evidence that it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wgmesh.core.model import Endpoint

UNKNOWN = "unknown"


class Subject(StrEnum):
    """What a finding is about."""

    UDP = "udp"
    MAPPING = "mapping"
    PORTS = "ports"
    FILTERING = "filtering"
    HAIRPIN = "hairpin"
    IPV6 = "ipv6"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one question came to. `note` is a clause where there is more to say than what the server saw."""

    server: Endpoint | None = None
    local_port: int = 0
    seen: Endpoint | None = None
    note: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """`value` is a stable word; `detail` is a clause on what is not certain, empty if nothing is.

    `port_step` belongs to sequential ports, `external` to the mapping.
    """

    subject: Subject
    value: str
    detail: str = ""
    evidence: tuple[Evidence, ...] = ()
    port_step: int | None = None
    external: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class CheckFinished:
    """All that could be found was told."""


CheckEvent = Finding | CheckFinished
