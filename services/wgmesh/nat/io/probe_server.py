"""The TCP probe server: answers pings of peers inside the tunnel.

Upstream nodes drop a peer whose probe server they cannot reach (protocol notes 17.1), so this one is there whenever
the interface is: it listens before the address is assigned, follows an address that changes and an interface that is
made again.

Every member can reach it, so none may use it up: core/places.py says who has a place, ping_lines.py how much may come
on a connection, and only a ping keeps one open. A source is the mesh address of a peer. WireGuard lets a member speak
from any address of the networks that it advertises as well, so all addresses that are no peer's are one source
together: a network of 65,536 addresses is worth no more than one. So is a peer that is not known yet; it is told apart
with its next connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Collection
from contextlib import suppress

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import IPAddress
from wgmesh.core.places import Places
from wgmesh.nat.io.mesh_socket import mesh_socket
from wgmesh.nat.ping_lines import PONG, PingLines
from wgmesh.runtime import logs
from wgmesh.runtime.link_changes import LinkChanges

IDLE_TIMEOUT_S = 10.0  # protocol notes 17.1
FIRST_PING_S = 3.0  # a client sends it with the end of its handshake, and gives up after 1.2 s
WRITE_TIMEOUT_S = 2.0  # protocol notes 17.1
PLACES_MAX = 512  # twice a large mesh; each costs a descriptor and about 2 kB
PLACES_OF_SOURCE_MAX = 4  # a node has one; a second while it starts again, and room for the first not yet missed
BACKLOG = 1024  # a storm of one member fills 128 for longer than the 1.2 s that a Go node waits
INTERFACE_CHECK_S = 30.0  # changes are heard; this is for one that was missed
INTERFACE_WAIT_S = 0.1  # while there is no interface: the first probe of a peer should find the server


class ProbeServer:
    """Listens on `port` at our mesh addresses, on one interface, and nowhere else."""

    def __init__(
        self,
        interface: str,
        port: int,
        *,
        on_links_changed: Callable[[], None] = lambda: None,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        first_ping_s: float = FIRST_PING_S,
        places_max: int = PLACES_MAX,
    ) -> None:
        self._interface = interface
        self._port = port
        self._on_links_changed = on_links_changed
        self._idle_timeout_s = idle_timeout_s
        self._first_ping_s = first_ping_s
        self._log = logs.logger()
        self._wanted: frozenset[IPAddress] = frozenset()
        self._changed = asyncio.Event()
        self._listeners: dict[IPAddress, asyncio.Server] = {}
        self._interface_index = 0
        self._complaint = ""
        self._peers: frozenset[IPAddress] = frozenset()
        self._places: Places[_Connection, IPAddress | None] = Places(places_max, PLACES_OF_SOURCE_MAX)

    def set_peers(self, addresses: Collection[IPAddress]) -> None:
        """Takes the mesh addresses of all peers. Each has places of its own; all others share theirs."""
        self._peers = frozenset(addresses)

    def set_addresses(self, addresses: Collection[IPAddress]) -> None:
        """Listens on exactly these own mesh addresses from now on."""
        if frozenset(addresses) != self._wanted:
            self._wanted = frozenset(addresses)
            self._changed.set()

    @property
    def addresses(self) -> frozenset[IPAddress]:
        """Where it listens at present."""
        return frozenset(self._listeners)

    async def run(self) -> None:
        """Keeps the listeners as wanted until cancelled; then closes them and every connection.

        Raises OSError if the kernel gives no news of its interfaces.
        """
        try:
            with LinkChanges() as links:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._follow(links))
                    tasks.create_task(self._keep_listening())
        finally:
            for address in tuple(self._listeners):
                self._stop(address)
            for connection in tuple(self._places):
                connection.abort()

    async def _follow(self, links: LinkChanges) -> None:
        while True:
            await links.next()
            self._changed.set()
            self._on_links_changed()

    async def _keep_listening(self) -> None:
        while True:
            self._changed.clear()
            is_complete = await self._reconcile()
            gap_s = INTERFACE_CHECK_S if is_complete else INTERFACE_WAIT_S
            with suppress(TimeoutError):
                async with asyncio.timeout(gap_s if self._wanted else None):
                    await self._changed.wait()

    async def _reconcile(self) -> bool:
        """Returns whether everything wanted is there."""
        index = _interface_index(self._interface)
        if (
            index != self._interface_index
        ):  # a socket stays bound to the interface it was made on, also when that is gone
            for address in tuple(self._listeners):
                self._stop(address)
            self._interface_index = index
        for address in self._listeners.keys() - self._wanted:
            self._stop(address)
        if index == 0:
            return False
        for address in self._wanted - self._listeners.keys():
            await self._start(address)
        return self._listeners.keys() == self._wanted

    async def _start(self, address: IPAddress) -> None:
        loop = asyncio.get_running_loop()
        try:
            listener = mesh_socket(address, self._port, self._interface, may_come_later=True)
        except OSError as error:
            self._complain(address, error)
            return
        try:  # asyncio itself pauses for a second when an accept fails for want of descriptors
            server = await loop.create_server(self._connection, sock=listener, backlog=BACKLOG)
        except OSError as error:
            listener.close()
            self._complain(address, error)
            return
        self._listeners[address] = server
        self._complaint = ""
        self._log.debug("probe server listening", address=str(address), port=self._port)

    def _connection(self) -> _Connection:
        return _Connection(self._admit, self._places, self._first_ping_s, self._idle_timeout_s)

    def _admit(self, connection: _Connection, address: IPAddress) -> None:
        leaving = self._places.admit(connection, address if address in self._peers else None)
        if leaving is not None:
            leaving.abort()

    def _stop(self, address: IPAddress) -> None:
        self._listeners.pop(address).close()

    def _complain(self, address: IPAddress, error: OSError) -> None:
        reason = f"{address}: {error.strerror}"
        if reason != self._complaint:  # said once, tried again until it works
            self._complaint = reason
            self._log.warning(
                "probe server not listening", address=str(address), port=self._port, reason=error.strerror
            )


class _Connection(asyncio.Protocol):
    """One peer's connection."""

    def __init__(
        self,
        admit: Callable[[_Connection, IPAddress], None],
        places: Places[_Connection, IPAddress | None],
        first_ping_s: float,
        idle_timeout_s: float,
    ) -> None:
        self._admit = admit
        self._places = places
        self._first_ping_s = first_ping_s
        self._idle_timeout_s = idle_timeout_s
        self._loop = asyncio.get_running_loop()
        self._lines = PingLines(self._loop.time())
        self._idle: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if peer is None:  # gone already
            transport.abort()
            return
        self._admit(self, ipaddress.ip_address(peer[0].partition("%")[0]))
        transport.set_write_buffer_limits(high=0)  # an answer that the kernel does not take at once starts the limit
        self._rearm(self._first_ping_s)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            pings = self._lines.feed(data, self._loop.time())
        except MalformedMessage:
            self.abort()
            return
        if pings:
            self._places.earn(self)
            self._rearm(self._idle_timeout_s)
            self._transport.write(PONG * pings)

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()
        self._stuck = self._loop.call_later(WRITE_TIMEOUT_S, self.abort)

    def resume_writing(self) -> None:
        assert self._transport is not None
        self._transport.resume_reading()
        if self._stuck is not None:
            self._stuck.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.leave(self)
        for timer in (self._idle, self._stuck):
            if timer is not None:
                timer.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _rearm(self, timeout_s: float) -> None:
        if self._idle is not None:
            self._idle.cancel()
        assert self._transport is not None
        self._idle = self._loop.call_later(timeout_s, self._transport.close)


def _interface_index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:  # not there
        return 0
