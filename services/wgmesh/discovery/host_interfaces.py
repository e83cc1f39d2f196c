"""Which interfaces of the host are LANs, and which addresses are our own."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

from wgmesh.core.model import Endpoint, IPAddress, IPInterface, IPNetwork

CHANNEL_PREFIX = "lan:"

# linux/if.h, as they are in the messages of rtnetlink
UP = 0x1
LOOPBACK = 0x8
POINT_TO_POINT = 0x10
MULTICAST = 0x1000
LOWER_UP = 0x10000

# linux/if_addr.h: not usable yet, never usable, or not to be used for anything new
UNUSABLE = 0x40 | 0x08 | 0x20


# The kernel's words for links that carry packets inside packets. Whatever lies behind one is reached through another
# network, a mesh as often as not, and the mesh would run through a tunnel that it may itself carry. Userspace programs
# (OpenVPN, wireguard-go, Tailscale, ZeroTier) have `tun`. Not among them is `ppp`: it is the uplink of many homes.
TUNNELS = frozenset(
    {"wireguard", "amneziawg", "tun", "ovpn", "ovpn-dco", "ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm"}
    | {"gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan"}
    | {"vxlan", "geneve", "bareudp", "l2tpeth", "gtp", "amt"}
)


@dataclass(frozen=True, slots=True)
class Underlay:
    """Which interfaces may carry the mesh. `own` is its own device, which never does."""

    own: str
    named: frozenset[str] = frozenset()
    """These alone, where there are any."""
    excluded: frozenset[str] = frozenset()

    def admits(self, link: Link) -> bool:
        if link.name == self.own or link.name in self.excluded:
            return False
        if self.named:
            return link.name in self.named or bool(link.flags & LOOPBACK)
        return link.kind not in TUNNELS


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
    others: tuple[IPNetwork, ...] = ()
    """What else is reached through it: the other end of a line, and networks that are routed there."""


def lan_interfaces(links: Iterable[Link], underlay: Underlay) -> tuple[LanInterface, ...]:
    """Returns the interfaces that carry the mesh. Loopback counts only where there is nothing else to speak on."""
    usable = [link for link in links if _is_usable(link) and underlay.admits(link)]
    outside = [link for link in usable if not link.flags & LOOPBACK]
    chosen = outside if any(_announces(link) for link in outside) else usable
    return tuple(
        LanInterface(link.name, link.index, link.addresses, _announces(link))
        for link in sorted(chosen, key=lambda link: link.index)
    )


def beyond(links: Iterable[Link], underlay: Underlay) -> Beyond:
    """Returns where addresses lie that are reached through other interfaces than those of the underlay."""
    near: dict[IPNetwork, bool] = {}
    for link in links:
        if link.flags & UP and not link.flags & LOOPBACK and link.name != underlay.own:
            is_underlay = underlay.admits(link)
            for network in (*(each.network for each in link.addresses), *link.others):
                near[network] = near.get(network, False) or is_underlay
    return Beyond(tuple(near.items()))


class Beyond:
    """Which addresses are reached through interfaces that do not carry the mesh; of two networks the smaller counts.

    What no network of an interface holds goes by a default route, also where that leads into a tunnel: then all does.
    """

    def __init__(self, networks: tuple[tuple[IPNetwork, bool], ...] = ()) -> None:
        """Each network with whether it is reached by the underlay."""
        self._networks = sorted(networks, key=lambda each: -each[0].prefixlen)

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, IPAddress):
            return False
        for network, is_underlay in self._networks:
            if network.version == host.version and host in network:
                return not is_underlay
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Beyond) and self._networks == other._networks

    def __hash__(self) -> int:
        return hash(tuple(self._networks))


def _is_usable(link: Link) -> bool:
    return bool(link.flags & UP and link.flags & LOWER_UP and link.addresses)


def _announces(link: Link) -> bool:
    if not any(address.version == 4 or _is_ipv6_for_others(address.ip) for address in link.addresses):
        return False
    return bool(link.flags & LOOPBACK or (link.flags & MULTICAST and not link.flags & POINT_TO_POINT))


def _is_ipv6_for_others(host: IPAddress) -> TypeGuard[ipaddress.IPv6Address]:
    return isinstance(host, ipaddress.IPv6Address) and not host.is_link_local and not host.is_loopback
