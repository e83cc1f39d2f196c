"""Whether a router is to be asked at all, and which."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from wgmesh.core.model import IPAddress, Mapping, NatReport
from wgmesh.core.network_index import is_within
from wgmesh.core.settings import PRIVATE_NETWORKS

_DESTINATION, _GATEWAY, _FLAGS, _METRIC, _MASK = 1, 2, 3, 6, 7  # columns of /proc/net/route
_UP_AND_GATEWAY = 0x1 | 0x2  # linux/route.h


def default_gateway(table: str) -> IPv4Address | None:
    """Returns the gateway of the best default route in what /proc/net/route says; None where there is none."""
    found: list[tuple[int, IPv4Address]] = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        if len(columns) <= _MASK or columns[_DESTINATION] != "00000000" or columns[_MASK] != "00000000":
            continue
        if int(columns[_FLAGS], 16) & _UP_AND_GATEWAY == _UP_AND_GATEWAY:
            gateway = IPv4Address(struct.pack("=I", int(columns[_GATEWAY], 16)))  # as the machine orders its bytes
            found.append((int(columns[_METRIC]), gateway))
    return min(found)[1] if found else None


def is_private(host: IPAddress) -> bool:
    return is_within(host, PRIVATE_NETWORKS)


def is_behind_nat(report: NatReport, before: bool) -> bool:
    """Whether STUN says so. While it says nothing, as after a change of the port, it is as `before`."""
    if report.answered_at is None:
        return before
    return report.mapping is not Mapping.NONE and any(seen.endpoint.host.version == 4 for seen in report.sightings)
