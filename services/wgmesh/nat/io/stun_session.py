"""Keeps the NAT report current: resolves the servers, drives the prober, follows the port and the route."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from wgmesh.core.errors import InvalidSetting
from wgmesh.core.model import Endpoint, IPAddress, NatReport
from wgmesh.core.stun.events import Event
from wgmesh.core.stun.prober import Prober
from wgmesh.nat.io.raw_stun import neighbour_port_sockets, source_address, wireguard_port_sockets
from wgmesh.nat.observations import ObservationTable, Vantage
from wgmesh.nat.server_name import parse_server
from wgmesh.runtime import logs
from wgmesh.runtime.datagram import DatagramDriver
from wgmesh.runtime.named_endpoints import Name, NamedEndpoints
from wgmesh.runtime.resolver import Resolver

ROUTE_CHECK_S = 5.0  # a laptop that moved is seen from elsewhere; looking costs one system call a server


class StunSession:
    """Asks the servers from WireGuard's port and gives each new report to `publish`.

    Nothing waits for it: without name service, route or servers the report says so in `detail`, and that is all.
    """

    def __init__(
        self,
        servers: Sequence[str],
        publish: Callable[[NatReport], None],
        *,
        ipv6: bool = True,
        resolver: Resolver | None = None,
    ) -> None:
        self._publish = publish
        self._ipv6 = ipv6
        self._log = logs.logger()
        self._servers_named = self._parse(servers)
        self._names = NamedEndpoints(self._servers_named.values(), self._on_addresses, resolver)
        self._prober = Prober(os.urandom)
        self._table = ObservationTable()
        self._unusable = set(servers) - self._servers_named.keys()
        self._servers: list[Endpoint] = []
        self._driver: DatagramDriver[Event] | None = None
        self._asking_port = 0
        self._wireguard_port = 0
        self._asked_from: frozenset[IPAddress] = frozenset()
        self._seen_by_peers: tuple[Endpoint, ...] = ()

    def use_port(self, wireguard_port: int) -> None:
        """Asks for this port from now on. Asking for the port already in use does nothing; 0 means none yet."""
        if wireguard_port == self._wireguard_port or wireguard_port == 0:
            return
        self._wireguard_port = wireguard_port
        self._close()
        try:
            sockets = self._open_sockets(wireguard_port)
        except OSError as error:
            self._publish(NatReport(enabled=True, detail=f"STUN: no socket could be opened: {error.strerror}."))
            self._wireguard_port = 0  # the next snapshot tries again
            return
        self._asking_port = wireguard_port if _is_raw(sockets) else sockets["ipv4"].getsockname()[1]
        self._table.clear()
        self._driver = DatagramDriver(self._prober, sockets, self._on_event)
        self._prober.ask_all(self._driver.now())
        self._choose_servers(set(sockets))
        self._driver.pump()
        self._report()

    def use_peers(self, seen_at: Sequence[Endpoint]) -> None:
        """Takes where peers see this host, once for each peer."""
        if tuple(seen_at) != self._seen_by_peers:
            self._seen_by_peers = tuple(seen_at)
            self._table.set_peers(seen_at)
            if self._driver is not None:
                self._report()

    @property
    def wireguard_port(self) -> int:
        """The port that is asked for, 0 while there is none."""
        return self._wireguard_port

    @property
    def seen_by_peers(self) -> tuple[Endpoint, ...]:
        return self._seen_by_peers

    def addresses(self, version: int) -> list[Endpoint]:
        """Where the servers are by that version of IP: the first address of each, in the order of their names."""
        named = [self._names.found.get(name, []) for name in self._servers_named.values()]
        fitting = [[found for found in each if found.host.version == version][:1] for each in named]
        return list(dict.fromkeys(endpoint for each in fitting for endpoint in each))

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The servers of which no address is known."""
        lost = [server for server, name in self._servers_named.items() if not self._names.found.get(name)]
        return tuple(sorted({*self._unusable, *lost}))

    async def run(self) -> None:
        """Follows names and routes until cancelled; then closes the sockets."""
        self._publish(NatReport(enabled=True))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._names.run())
                tasks.create_task(self._follow_route())
        finally:
            self._close()

    def _open_sockets(self, port: int) -> dict[str, socket.socket]:
        try:
            return wireguard_port_sockets(port, ipv6=self._ipv6)
        except PermissionError:
            self._log.warning("stun asks from a port beside wireguard's", reason="raw sockets need CAP_NET_RAW")
            return neighbour_port_sockets()

    def _parse(self, servers: Sequence[str]) -> dict[str, Name]:
        named = {}
        for server in servers:
            try:
                named[server] = parse_server(server)
            except InvalidSetting as error:
                self._log.warning("stun server ignored", server=server, reason=str(error))
        return named

    def _on_addresses(self, found: list[Endpoint]) -> None:
        lost = {
            server
            for server, name in self._servers_named.items()
            if name[0] in self._names.failures and name not in self._names.found
        }
        self._table.set_unresolved(sorted(self._unusable | lost))
        if self._driver is not None:
            self._choose_servers({"ipv4", "ipv6"} if self._asking_port == self._wireguard_port else {"ipv4"})
            self._driver.pump()
            self._report()

    def _choose_servers(self, channels: set[str]) -> None:
        """Takes one address of each name and family, no address twice: two names at one address are one witness."""
        if self._driver is None:
            return
        chosen: dict[IPAddress, Endpoint] = {}
        for name in self._servers_named.values():
            for channel in sorted(channels):
                fitting = [found for found in self._names.found.get(name, ()) if f"ipv{found.host.version}" == channel]
                fresh = next((found for found in fitting if found.host not in chosen), None)
                if fresh is not None and (self._ipv6 or channel == "ipv4"):
                    chosen[fresh.host] = fresh
        servers = list(chosen.values())
        if servers != self._servers:
            self._servers = servers
            self._table.retain(servers)
            self._prober.set_servers(servers, self._driver.now())
            self._asked_from = local_addresses(servers)

    async def _follow_route(self) -> None:
        while True:
            await asyncio.sleep(ROUTE_CHECK_S)
            sources = local_addresses(self._servers)
            if sources != self._asked_from and self._driver is not None:
                self._asked_from = sources
                self._prober.ask_all(self._driver.now())
                self._driver.pump()

    def _on_event(self, event: Event) -> None:
        self._log.debug("stun event", happened=str(event))
        self._table.handle(event)
        self._report()

    def _report(self) -> None:
        sources = local_addresses(self._servers)
        self._publish(self._table.report(Vantage(sources, self._asking_port, self._wireguard_port)))

    def _close(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver = None


def _is_raw(sockets: dict[str, socket.socket]) -> bool:
    return all(each.type == socket.SOCK_RAW for each in sockets.values())


def local_addresses(servers: Sequence[Endpoint]) -> frozenset[IPAddress]:
    """Returns the local addresses from which the servers are reached; servers without a route add none."""
    found = set()
    for server in servers:
        try:
            found.add(source_address(server))
        except OSError:  # no route at present
            continue
    return frozenset(found)
