"""Checks the network when somebody asks for it: opens the sockets, drives the machine, closes them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress

from wgmesh.core.errors import Busy, NotReady, NotSupported
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.nat.check.findings import CheckEvent, Finding
from wgmesh.nat.io.raw_stun import neighbour_port_sockets, source_address, wireguard_port_sockets
from wgmesh.nat.io.stun_session import StunSession, local_addresses
from wgmesh.runtime.clock import CLOCK
from wgmesh.runtime.datagram import DatagramDriver

IPV4_SERVERS_MAX = 4  # two are needed, and a third one outvotes a liar
IPV6_SERVERS_MAX = 2
SOMEWHERE_IN_IPV6 = Endpoint.of("2000::1", 9)  # the first address of global unicast; only the route there is looked up


class NetworkChecks:
    """Runs one check at a time, with the servers and the port of the STUN session; None where STUN is off."""

    def __init__(self, stun: StunSession | None, *, ipv6: bool) -> None:
        self._stun = stun
        self._ipv6 = ipv6
        self._is_running = False

    async def run(self) -> AsyncGenerator[Finding, None]:
        """Yields the findings of one check. Raises NotSupported, NotReady, Busy."""
        if self._stun is None:
            raise NotSupported("STUN is switched off on this node (--no-stun), so no server may be asked.")
        if not self._stun.wireguard_port:
            raise NotReady("there is no WireGuard port yet to ask for; try again in a moment")
        if self._is_running:
            raise Busy("A check of the network runs already. Try again in five seconds.")
        self._is_running = True
        try:
            async for finding in self._findings(self._stun):
                yield finding
        finally:
            self._is_running = False

    async def _findings(self, stun: StunSession) -> AsyncGenerator[Finding, None]:
        from wgmesh.nat.check.machine import NetworkCheck, Scene  # most nodes never check: a start need not read it

        try:
            sockets, is_wireguard_port = _open(stun.wireguard_port, ipv6=self._ipv6)
        except OSError as error:
            raise NotReady(f"no socket could be opened for the check: {error.strerror}") from None
        ports = {name: each.getsockname()[1] for name, each in sockets.items()}
        if is_wireguard_port:  # a raw socket has none of its own
            ports |= dict.fromkeys(("ipv4", "ipv6"), stun.wireguard_port)
        servers = stun.addresses(4)[:IPV4_SERVERS_MAX]
        if "ipv6" in sockets:
            servers += stun.addresses(6)[:IPV6_SERVERS_MAX]
        scene = Scene(
            tuple(servers),
            ports,
            local_addresses(servers),
            stun.unresolved,
            is_wireguard_port,
            _global_ipv6() if self._ipv6 else None,
            Counter(endpoint.host for endpoint in stun.seen_by_peers),
        )
        events: asyncio.Queue[CheckEvent] = asyncio.Queue()  # a handful: the machine ends by itself
        check = NetworkCheck(scene, os.urandom, CLOCK.now())
        driver: DatagramDriver[CheckEvent] = DatagramDriver(check, sockets, events.put_nowait)
        async with driver:
            while isinstance(event := await events.get(), Finding):
                yield event


def _open(port: int, *, ipv6: bool) -> tuple[dict[str, socket.socket], bool]:
    """Opens all sockets by channel; says whether those named ipv4 and ipv6 speak from WireGuard's own port."""
    from wgmesh.nat.check.machine import THROW_AWAY_CHANNELS

    is_wireguard_port = True
    try:
        sockets = wireguard_port_sockets(port, ipv6=ipv6)
    except PermissionError:
        sockets, is_wireguard_port = neighbour_port_sockets(), False
    try:
        for channel in THROW_AWAY_CHANNELS:
            sockets[channel] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sockets[channel].bind(("", 0))
    except OSError:
        for each in sockets.values():
            each.close()
        raise
    return sockets, is_wireguard_port


def _global_ipv6() -> IPAddress | None:
    """The address from which this host would reach the IPv6 Internet."""
    with suppress(OSError):  # no IPv6, or no route
        address = source_address(SOMEWHERE_IN_IPV6)
        return address if address.is_global else None
    return None
