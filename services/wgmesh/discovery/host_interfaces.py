"""Which interfaces of the host are LANs, and which addresses are our own."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

from wgmesh.core.model import Endpoint, IPAddress, IPInterface

CHANNEL_PREFIX = "lan:"

# linux/if.h, as they are in the messages of rtnetlink
UP = 0x1
LOOPBACK = 0x8
POINT_TO_POINT = 0x10
MULTICAST = 0x1000
LOWER_UP = 0x10000

# linux/if_addr.h: not usable yet, never usable, or not to be used for anything new
UNUSABLE = 0x40 | 0x08 | 0x20


@dataclass(frozen=True, slots=True)
class LanInterface:
    """A network interface of this host, outside the mesh."""

    name: str
    index: int
    addresses: tuple[IPInterface, ...]
    announces: bool = True
    """Whether it can carry announcements; where not, its addresses are still ours."""

    @property
    def channel(self) -> str:
        """The name of this interface's multicast socket."""
        return CHANNEL_PREFIX + self.name

    def is_attached(self, source: Endpoint) -> bool:
        """Whether `source` lies on a subnet of this interface."""
        return any(
            address.version == source.host.version and source.host in address.network for address in self.addresses
        )

    @property
    def ipv4(self) -> ipaddress.IPv4Address | None:
        return next((each.ip for each in self.addresses if isinstance(each, ipaddress.IPv4Interface)), None)

    @property
    def ipv6(self) -> ipaddress.IPv6Address | None:
        """An address of ours there that others can use: a link-local one would need a zone, another on each host."""
        return next(filter(_is_ipv6_for_others, (each.ip for each in self.addresses)), None)


@dataclass(frozen=True, slots=True)
class Link:
    """One interface as the kernel shows it. `kind` is its word for virtual ones (wireguard, veth, tun), else empty."""

    name: str
    index: int
    flags: int
    kind: str = ""
    addresses: tuple[IPInterface, ...] = ()


def lan_interfaces(links: Iterable[Link], mesh_interface: str) -> tuple[LanInterface, ...]:
    """Returns the interfaces outside any tunnel. Loopback counts only where there is nothing else to speak on."""
    usable = [link for link in links if _is_usable(link, mesh_interface)]
    outside = [link for link in usable if not link.flags & LOOPBACK]
    chosen = outside if any(_announces(link) for link in outside) else usable
    return tuple(
        LanInterface(link.name, link.index, link.addresses, _announces(link))
        for link in sorted(chosen, key=lambda link: link.index)
    )


def _is_usable(link: Link, mesh_interface: str) -> bool:
    is_up = link.flags & UP and link.flags & LOWER_UP
    return bool(is_up and link.addresses and link.name != mesh_interface and link.kind != "wireguard")


def _announces(link: Link) -> bool:
    if not any(address.version == 4 or _is_ipv6_for_others(address.ip) for address in link.addresses):
        return False
    return bool(link.flags & LOOPBACK or (link.flags & MULTICAST and not link.flags & POINT_TO_POINT))


def _is_ipv6_for_others(host: IPAddress) -> TypeGuard[ipaddress.IPv6Address]:
    return isinstance(host, ipaddress.IPv6Address) and not host.is_link_local and not host.is_loopback
