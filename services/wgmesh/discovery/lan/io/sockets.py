"""The multicast sockets: one for each interface that can announce, and why there is none where there is none."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import Protocol

from wgmesh.core.model import LayerState
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.layer import Health
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.udp_sockets import IP_MULTICAST_ALL


class Driver(Protocol):
    """What has the sockets read and written."""

    def add_channel(self, name: str, channel: socket.socket) -> None: ...

    def remove_channel(self, name: str) -> None: ...


class LanSockets:
    """Follows the host's interfaces."""

    def __init__(
        self, driver: Driver, group: ipaddress.IPv4Address, port: int, is_enabled: bool, log: BoundLogger
    ) -> None:
        self._driver = driver
        self._group = group
        self._port = port
        self._is_enabled = is_enabled
        self._log = log
        self._interfaces: dict[str, LanInterface] = {}
        self._trouble: dict[str, str] = {}

    def follow(self, interfaces: Iterable[LanInterface]) -> None:
        """Opens and closes what has changed, and tries again what has failed."""
        wanted = {each.channel: each for each in interfaces if each.announces} if self._is_enabled else {}
        for channel in self._interfaces.keys() - wanted.keys():
            self._driver.remove_channel(channel)
        self._trouble = {channel: why for channel, why in self._trouble.items() if channel in wanted}
        for channel, interface in wanted.items():
            if self._interfaces.get(channel) != interface or channel in self._trouble:
                self._open(channel, interface)
        self._interfaces = wanted

    def health(self) -> Health:
        """How multicast fares."""
        if not self._is_enabled:
            return Health(LayerState.DISABLED, "switched off")
        if self._trouble:
            return Health(LayerState.DEGRADED, "; ".join(sorted(self._trouble.values())))
        if not self._interfaces:
            return Health(LayerState.DEGRADED, "no interface with IPv4 and multicast is up")
        return Health(LayerState.RUNNING, f"on {', '.join(each.name for each in self._interfaces.values())}")

    def _open(self, channel: str, interface: LanInterface) -> None:
        self._driver.remove_channel(channel)
        self._trouble.pop(channel, None)
        source = interface.ipv4
        if source is None:  # nothing announces without one
            return
        try:
            lan = open_lan_socket(self._group, self._port, interface.index, source)
        except OSError as error:  # the interface went away meanwhile, or multicast is refused there
            self._trouble[channel] = f"{interface.name}: {error.strerror}"
            self._log.warning("lan interface not opened", link=interface.name, reason=error.strerror)
            return
        self._driver.add_channel(channel, lan)


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
