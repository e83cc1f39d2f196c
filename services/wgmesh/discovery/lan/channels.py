"""The ways to speak on LANs: on each interface one of each family, with a multicast group and a socket of its own.

Upstream's nodes know the IPv4 one only. Where an interface has both, most neighbours hear the IPv4 one, and the other
is for those that have no IPv4 (docs/decisions/0031).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.discovery.host_interfaces import LanInterface

IPV6_PREFIX = "lan6:"


@dataclass(frozen=True, slots=True)
class LanChannel:
    """One family on one interface. `source` is the address of ours that others are told there."""

    interface: LanInterface
    source: IPAddress
    is_beside_ipv4: bool = False
    """Whether it is the IPv6 one of an interface that has IPv4 too."""

    @property
    def name(self) -> str:
        """The name of its socket."""
        return self.interface.channel if self.source.version == 4 else IPV6_PREFIX + self.interface.name

    def is_on_link(self, source: Endpoint) -> bool:
        """Whether a datagram from `source` can have come from this very link."""
        return self.interface.is_attached(source) or (self.source.version == 6 and source.host.is_link_local)


def lan_channels(interfaces: Iterable[LanInterface], with_ipv6: bool) -> tuple[LanChannel, ...]:
    """Returns the channels, of each interface the IPv4 one first."""
    found = []
    for interface in interfaces:
        if not interface.announces:
            continue
        if interface.ipv4 is not None:
            found.append(LanChannel(interface, interface.ipv4))
        if interface.ipv6 is not None and with_ipv6:
            found.append(LanChannel(interface, interface.ipv6, is_beside_ipv4=interface.ipv4 is not None))
    return tuple(found)
