"""The TCP probe server: answers pings of peers inside the tunnel.

Upstream nodes drop a peer whose probe server they cannot reach (protocol notes 17.1), so this one is there whenever
the interface is: it listens before the address is assigned, follows an address that changes and an interface that is
made anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from contextlib import suppress

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import IPAddress
from wgmesh.nat.io.mesh_socket import mesh_socket
from wgmesh.nat.ping_lines import PingLines
from wgmesh.runtime import logs
from wgmesh.runtime.link_changes import LinkChanges

IDLE_TIMEOUT_S = 10.0  # protocol notes 17.1
WRITE_TIMEOUT_S = 2.0  # protocol notes 17.1
CONNECTIONS_MAX = 512  # twice a large mesh; each costs a descriptor and about 2 kB
BACKLOG = 128
INTERFACE_CHECK_S = 30.0  # changes are heard; this is for one that was missed
INTERFACE_WAIT_S = 0.1  # while there is no interface: the first probe of a peer should find the server


class ProbeServer:
    """Listens on `port` at our mesh addresses, on one interface, and nowhere else."""

    def __init__(self, interface: str, port: int) -> None:
        self._interface = interface
        self._port = port
        self._log = logs.logger()
        self._wanted: frozenset[IPAddress] = frozenset()
        self._changed = asyncio.Event()
        self._listeners: dict[IPAddress, asyncio.Server] = {}
        self._interface_index = 0
        self._complaint = ""
        self._connections: set[_Connection] = set()

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
            for connection in tuple(self._connections):
                connection.abort()

    async def _follow(self, links: LinkChanges) -> None:
        while True:
            await links.next()
            self._changed.set()

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
            server = await loop.create_server(lambda: _Connection(self._connections), sock=listener, backlog=BACKLOG)
        except OSError as error:
            listener.close()
            self._complain(address, error)
            return
        self._listeners[address] = server
        self._complaint = ""
        self._log.debug("probe server listening", address=str(address), port=self._port)

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

    def __init__(self, connections: set[_Connection]) -> None:
        self._connections = connections
        self._lines = PingLines()
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        if len(self._connections) > CONNECTIONS_MAX:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=0)  # an answer that the kernel does not take at once starts the limit
        self._rearm()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            line_count, answer = self._lines.feed(data)
        except MalformedMessage:
            self._transport.close()
            return
        if line_count:
            self._rearm()
        if answer:
            self._transport.write(answer)

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
        self._connections.discard(self)
        for timer in (self._idle, self._stuck):
            if timer is not None:
                timer.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _rearm(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        assert self._transport is not None
        self._idle = self._loop.call_later(IDLE_TIMEOUT_S, self._transport.close)


def _interface_index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:  # not there
        return 0
