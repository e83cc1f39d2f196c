"""A private DHT of 24 nodes on loopback: how long storing and finding takes where all is well, and where it is not."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import statistics
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass

from bench.report import Measurement, Ran
from support.discovery.private_swarm import HEADER_BYTES, KEY, Forger, Misleader, Mute, newer
from support.discovery.private_swarm import network as simulated
from support.doubles.virtual_time import VirtualTimeLoop
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.private_dht.io.protocol import SealedProtocol
from wgmesh.discovery.private_dht.io.server import PrivateDhtServer
from wgmesh.discovery.private_dht.storage import JudgedStorage

NODES = 24
VALUES = 32
LOSS = 0.1
MET_S = 30.0
_HOW = "Nodes on loopback in one process; values of 300 bytes, one after the other."
LOOPBACK = ipaddress.IPv4Address("127.0.0.1")


class Lossy(SealedProtocol):
    """Hears nine datagrams of ten."""

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        if random.random() >= LOSS:
            super().handle_datagram(data, source, now, channel)


class LoopbackMisleader(Misleader):
    """No datagram leaves the machine for what it invents."""

    network = 0x7F000000


LIARS = (Forger, LoopbackMisleader, Mute)


@dataclass(frozen=True, slots=True)
class _Times:
    """Seconds of each `put` and `get`."""

    puts: list[float]
    gets: list[float]


class _Swarm:
    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.servers: list[PrivateDhtServer] = []
        self._running: list[asyncio.Task[None]] = []
        self._tasks = tasks

    async def start(self, kinds: list[type[SealedProtocol]]) -> float:
        """Starts a node of each kind, all through the first; returns the seconds until each knows eight."""
        began_at = time.perf_counter()
        for kind in kinds:
            server = PrivateDhtServer(
                kind(JudgedStorage(newer), KEY, AddressRules(), os.urandom, WallClock()), lambda event: None
            )
            await server.listen(0)
            self.servers.append(server)
            server.set_bootstrap([Endpoint(LOOPBACK, self.servers[0].port)])
            self._running.append(self._tasks.create_task(server.run()))
        async with asyncio.timeout(MET_S):
            while min(len(each.protocol.router.nodes()) for each in self.servers) < 8:
                await asyncio.sleep(0.01)
        entered_s = time.perf_counter() - began_at
        await asyncio.sleep(MET_S)
        return entered_s

    def kill(self, servers: list[PrivateDhtServer]) -> None:
        for server in servers:
            self._running[self.servers.index(server)].cancel()
            server.stop()


async def _timed(work: Awaitable[object]) -> float:
    began_at = time.perf_counter()
    assert await work, "nothing was stored or found"
    return time.perf_counter() - began_at


async def _puts_and_gets(servers: list[PrivateDhtServer]) -> _Times:
    names = [os.urandom(20) for _ in range(VALUES)]
    puts = [await _timed(servers[place % len(servers)].put(name, b"value" * 60)) for place, name in enumerate(names)]
    gets = [await _timed(servers[(place + 7) % len(servers)].get(name)) for place, name in enumerate(names)]
    return _Times(puts, gets)


async def _with(kinds: list[type[SealedProtocol]], dies: bool = False) -> tuple[float, _Times]:
    async with asyncio.TaskGroup() as tasks:
        swarm = _Swarm(tasks)
        entered_s = await swarm.start(kinds)
        honest = [server for server, kind in zip(swarm.servers, kinds, strict=True) if kind not in LIARS]
        if dies:
            names = [os.urandom(20) for _ in range(VALUES)]
            for place, name in enumerate(names):
                await honest[place % NODES].put(name, b"value" * 60)
            alive = honest[1::2]
            swarm.kill(honest[::2])
            gets = [await _timed(alive[place % len(alive)].get(name)) for place, name in enumerate(names)]
            times = _Times((await _puts_and_gets(alive)).puts, gets)
            swarm.kill(alive)
        else:
            times = await _puts_and_gets(honest)
            swarm.kill(swarm.servers)
    return entered_s, times


async def _idle_bytes_a_day() -> float:
    async with simulated() as net:
        await net.mesh(NODES)
        await asyncio.sleep(3600.0)
        before = len(net.sent)
        await asyncio.sleep(86400.0)
        return sum(len(each.data) + HEADER_BYTES for each in net.sent[before:]) / NODES


def private_dht() -> Iterator[Measurement]:
    whole: list[type[SealedProtocol]] = [SealedProtocol] * NODES
    entered_s, well = asyncio.run(_with(whole))
    conditions = {
        "all is well": well,
        "half has just died": asyncio.run(_with(whole, dies=True))[1],
        "a tenth is lost": asyncio.run(_with([Lossy] * NODES))[1],
        "three lie": asyncio.run(_with([SealedProtocol, *LIARS, *whole[4:]]))[1],
    }
    name = f"private DHT of {NODES} nodes"
    yield Measurement(f"{name}: each knows eight after a start of all at once", entered_s, "s", Ran.CODE, note=_HOW)
    for condition, times in conditions.items():
        for call, spans_s in (("put", times.puts), ("get", times.gets)):
            late = statistics.quantiles(spans_s, n=20)[-1]
            median, note = statistics.median(spans_s), f"{_HOW} Median of {VALUES}; 95 % within {late:.2f} s."
            yield Measurement(f"{name}, {condition}: {call}", median, "s", Ran.CODE, runs=tuple(spans_s), note=note)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        idle = runner.run(_idle_bytes_a_day())
    note = "With the headers of UDP and IP. What members store and read comes on top of it."
    yield Measurement(f"{name}: sent by an idle node", idle / 1e6, "MB/day", Ran.SIMULATION, note=note)
