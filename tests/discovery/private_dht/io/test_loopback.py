"""Eight nodes of the private DHT on loopback, with real sockets and real time."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint
from wgmesh.discovery.dht import DhtEvent, NodesCounted
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.private_dht.io.protocol import SealedProtocol
from wgmesh.discovery.private_dht.io.server import PrivateDhtServer
from wgmesh.discovery.private_dht.storage import JudgedStorage

KEY = bytes(range(32))
NAME = bytes(range(20))
LOOPBACK = ipaddress.IPv4Address("127.0.0.1")


def newer(key: bytes, old: bytes | None, new: bytes) -> bool:
    return old is None or new > old


def at(server: PrivateDhtServer) -> Endpoint:
    return Endpoint(LOOPBACK, server.port)


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


class Swarm:
    """Nodes that run until it ends."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.running: dict[PrivateDhtServer, asyncio.Task[None]] = {}
        self._tasks = tasks

    async def join(
        self,
        bootstrap: Iterable[Endpoint] = (),
        port: int = 0,
        key: bytes = KEY,
        on_event: Callable[[DhtEvent], None] = lambda event: None,
    ) -> PrivateDhtServer:
        server = PrivateDhtServer(
            SealedProtocol(JudgedStorage(newer), key, AddressRules(), os.urandom, WallClock()), on_event
        )
        server.set_bootstrap(bootstrap)
        await server.listen(port)
        self.running[server] = self._tasks.create_task(server.run())
        return server

    async def mesh(self, count: int) -> list[PrivateDhtServer]:
        servers = [await self.join()]
        servers += [await self.join([at(servers[0])]) for _ in range(count - 1)]
        await until(lambda: all(len(server.protocol.router.nodes()) == count - 1 for server in servers))
        return servers

    def kill(self, *servers: PrivateDhtServer) -> None:
        for server in servers:
            self.running.pop(server).cancel()
            server.stop()


@asynccontextmanager
async def swarm() -> AsyncIterator[Swarm]:
    async with asyncio.TaskGroup() as tasks:
        running = Swarm(tasks)
        try:
            yield running
        finally:
            running.kill(*running.running)


async def test_what_one_puts_all_others_get() -> None:
    async with swarm() as running:
        servers = await running.mesh(8)
        assert await servers[2].put(NAME, b"1") == 7
        assert [await server.get(NAME) for server in servers] == [[b"1"]] * 8
        assert await servers[5].put(NAME, b"2") == 7
        for server in servers:
            assert b"2" in await server.get(NAME)
        assert await servers[0].get(bytes(20)) == []


async def test_after_half_of_the_nodes_died_at_once_values_are_found_and_new_ones_stored() -> None:
    async with swarm() as running:
        servers = await running.mesh(8)
        assert await servers[2].put(NAME, b"1") == 7
        running.kill(*servers[:4])
        assert await asyncio.gather(*(server.get(NAME) for server in servers[4:])) == [[b"1"]] * 4
        assert await servers[4].put(bytes(20), b"new") == 3
        assert await servers[7].get(bytes(20)) == [b"new"]


async def test_a_stranger_without_the_key_gets_not_one_byte() -> None:
    async with swarm() as running:
        (server,) = await running.mesh(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((str(LOOPBACK), 0))
            stranger.setblocking(False)
            texts = [b"x", b"\xd1", b"\xd1" + bytes(60), b"d1:q4:pinge", bytes(1500)]
            for text in texts:
                stranger.sendto(text, (str(LOOPBACK), server.port))
            await until(lambda: server.protocol.inbox.rejected_count == len(texts))
            with pytest.raises(BlockingIOError):
                stranger.recv(1500)


async def test_where_the_port_is_taken_another_one_is_used_and_told() -> None:
    async with swarm() as running:
        events: list[DhtEvent] = []
        first = await running.join()
        second = await running.join(port=first.port, on_event=events.append)
        assert second.port not in (0, first.port)
        assert events == [NodesCounted(0, second.port)]


async def test_ipv6_is_as_good() -> None:
    if not _has_ipv6():
        pytest.skip("this host has no ::1")
    async with swarm() as running:
        first = await running.join()
        second = await running.join([Endpoint(ipaddress.IPv6Address("::1"), first.port)])
        await until(lambda: all(len(each.protocol.router.nodes()) == 1 for each in (first, second)))
        assert await first.put(NAME, b"1") == 1


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
