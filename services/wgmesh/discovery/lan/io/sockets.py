"""The multicast sockets: one for each channel, and why there is none where there is none."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import Protocol

from wgmesh.core.model import LayerState
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.lan.channels import LanChannel, lan_channels
from wgmesh.discovery.layer import Health
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.udp_sockets import IP_MULTICAST_ALL


class Driver(Protocol):
    """What has the sockets read and written."""

    def add_channel(self, name: str, channel: socket.socket) -> None: ...

    def remove_channel(self, name: str) -> None: ...


class LanSockets:
    """Follows the host's interfaces."""

    def __init__(
        self,
        driver: Driver,
        groups: tuple[ipaddress.IPv4Address, ipaddress.IPv6Address],
        port: int,
        settings: DiscoverySettings,
        log: BoundLogger,
    ) -> None:
        self._driver = driver
        self._group4, self._group6 = groups
        self._port = port
        self._is_enabled = settings.lan
        self._with_ipv6 = settings.ipv6
        self._log = log
        self._channels: dict[str, LanChannel] = {}
        self._trouble: dict[str, str] = {}
        self._bare: tuple[str, ...] = ()
        """The interfaces that cannot be used, where there is no other."""

    def follow(self, interfaces: Iterable[LanInterface]) -> None:
        """Opens and closes what has changed, and tries again what has failed."""
        known = tuple(interfaces)
        channels = lan_channels(known, self._with_ipv6) if self._is_enabled else ()
        wanted = {each.name: each for each in channels}
        is_met_elsewhere = any(not each.source.is_loopback for each in channels)
        self._bare = () if is_met_elsewhere else tuple(each.name for each in known if _has_link_local_only(each))
        for name in self._channels.keys() - wanted.keys():
            self._driver.remove_channel(name)
        self._trouble = {name: why for name, why in self._trouble.items() if name in wanted}
        for name, channel in wanted.items():
            if self._channels.get(name) != channel or name in self._trouble:
                self._open(channel)
        self._channels = wanted

    def health(self) -> Health:
        """How multicast fares."""
        if not self._is_enabled:
            return Health(LayerState.DISABLED, "switched off")
        if self._trouble:
            return Health(LayerState.DEGRADED, "; ".join(sorted(self._trouble.values())))
        if self._bare:
            why = "only link-local addresses, which no tunnel can use: give it IPv4, or a further IPv6 address"
            return Health(LayerState.DEGRADED, f"{', '.join(self._bare)}: {why}")
        if not self._channels:
            wanted = "IPv4 or IPv6" if self._with_ipv6 else "IPv4"
            return Health(LayerState.DEGRADED, f"no interface with {wanted} and multicast is up")
        with_ipv4 = {each.interface.name for each in self._channels.values() if each.source.version == 4}
        named = dict.fromkeys(each.interface.name for each in self._channels.values())
        shown = (name if name in with_ipv4 else f"{name} (IPv6 only)" for name in named)
        return Health(LayerState.RUNNING, f"on {', '.join(shown)}")

    def _open(self, channel: LanChannel) -> None:
        self._driver.remove_channel(channel.name)
        failed_before = self._trouble.pop(channel.name, None)
        interface = channel.interface
        try:
            lan = self._opened(channel)
        except OSError as error:  # the interface went away meanwhile, or multicast is refused there
            reason = f"{interface.name} (IPv{channel.source.version}): {error.strerror}"
            self._trouble[channel.name] = reason
            if reason != failed_before:  # it is tried again whenever the interfaces change
                self._log.warning("lan interface not opened", link=interface.name, reason=error.strerror)
            return
        self._driver.add_channel(channel.name, lan)

    def _opened(self, channel: LanChannel) -> socket.socket:
        if isinstance(channel.source, ipaddress.IPv4Address):
            return open_lan_socket(self._group4, self._port, channel.interface.index, channel.source)
        return open_lan_socket6(self._group6, self._port, channel.interface.index)


def _has_link_local_only(interface: LanInterface) -> bool:
    return all(each.version == 6 and each.is_link_local for each in interface.addresses)


def open_lan_socket(
    group: ipaddress.IPv4Address, port: int, index: int, source: ipaddress.IPv4Address
) -> socket.socket:
    """Returns a socket that hears `group` on one interface only, and sends to it there from `source`. Raises OSError.

    It is bound to the group, so that it never hears unicast (protocol notes, BUG 48). Without IP_MULTICAST_ALL it hears
    only the interface that it joined on. No route is needed.
    """
    lan = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        membership = struct.pack("=4s4si", group.packed, bytes(4), index)  # struct ip_mreqn
        sending = struct.pack("=4s4si", bytes(4), source.packed, index)
        lan.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        lan.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        lan.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)  # other nodes on this host
        lan.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        lan.bind((str(group), port))
        lan.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        lan.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, sending)
    except OSError:
        lan.close()
        raise
    return lan


def open_lan_socket6(group: ipaddress.IPv6Address, port: int, index: int) -> socket.socket:
    """Returns a socket that hears `group` on one interface only, and sends to it there. Raises OSError.

    The kernel ties a socket to the interface that a link-local address is bound with, and sends from the link-local
    address there.
    """
    lan = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        lan.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        lan.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        lan.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)  # other nodes on this host
        lan.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        lan.bind((str(group), port, 0, index))
        lan.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("=16si", group.packed, index))
    except OSError:
        lan.close()
        raise
    return lan
