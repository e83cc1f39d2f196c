"""Nodes of the private DHT on a simulated network: every datagram takes 20 ms, and time is virtual."""

from __future__ import annotations

import asyncio
import functools
import heapq
import ipaddress
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kademlia.node import Node
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.dht_message import Answer, Request
from wgmesh.discovery.dht import DhtEvent
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.private_dht.io.protocol import SECOND_PORT, SealedProtocol
from wgmesh.discovery.private_dht.io.server import PrivateDhtServer
from wgmesh.discovery.private_dht.routing import K, node_at
from wgmesh.discovery.private_dht.storage import Judge, JudgedStorage

KEY = bytes(range(32))
START = 1_763_800_000.0
DELAY_S = 0.02
PORT, OTHER_PORT = 4001, 4002
HEADER_BYTES = 28  # of IPv4 and UDP
LIE = b"lie"


def at(number: int, port: int = PORT) -> Endpoint:
    return Endpoint(ipaddress.IPv4Address(0x0A000000 + number), port)


def newer(key: bytes, old: bytes | None, new: bytes) -> bool:
    """A judge that goes by order, and sees what is forged."""
    return not new.startswith(LIE) and (old is None or new > old)


class Plug:
    """Where a node meets the network: what runtime/datagram.py is elsewhere."""

    def __init__(self, server: SimServer, network: Network) -> None:
        self.protocol = server.protocol
        self._server = server
        self._network = network

    def now(self) -> float:
        return self._network.now() + self._server.skew_s

    def pump(self) -> None:
        while (transmit := self.protocol.poll_transmit()) is not None:
            port = OTHER_PORT if transmit.channel == SECOND_PORT else PORT
            self._network.send(transmit.data, Endpoint(self._server.endpoint.host, port), transmit.to)
        while (count := self.protocol.poll_event()) is not None:
            self._server.count(count)

    def close(self) -> None:
        self._network.plugs.pop(self._server.endpoint, None)


class SimServer(PrivateDhtServer):
    """A node whose sockets are the network's. `skew_s` is how far its clock is ahead."""

    def __init__(self, network: Network, endpoint: Endpoint, protocol: SealedProtocol) -> None:
        self.events: list[DhtEvent] = []
        super().__init__(protocol, self.events.append)
        self.endpoint = endpoint
        self.skew_s = 0.0
        self._network = network

    async def listen(self, port: int, interface: str = "") -> None:
        self.port = port
        plug = self._network.plugs[self.endpoint] = Plug(self, self._network)
        self.transport = plug  # type: ignore[assignment]  # the one thing here that is not the real one
        self.protocol.connection_made(plug)
        plug.pump()

    @property
    def known(self) -> set[Endpoint]:
        return {Endpoint(each.ip, each.port) for each in self.protocol.router.nodes()}


class Forger(SealedProtocol):
    """Finds a forged value under every name, and keeps nothing."""

    def _answer(self, request: Request, source: Endpoint) -> None:
        result = True if request.call == "store" else LIE + bytes(100)
        self._send(Answer(request.id, result), source)


class Misleader(SealedProtocol):
    """Names as closest eight nodes that do not exist, closer than any that does."""

    network = 0x0A000000  # of which they would be

    def _answer(self, request: Request, source: Endpoint) -> None:
        target = int.from_bytes(request.arguments[0])
        closest = heapq.nsmallest(
            K, _invented(self.source_node.id, self.network), key=lambda each: each.long_id ^ target
        )
        self._send(Answer(request.id, tuple(Endpoint(each.ip, each.port) for each in closest)), source)


@functools.cache
def _invented(liar: bytes, network: int) -> list[Node]:
    chance = random.Random(liar)
    hosts = [ipaddress.IPv4Address(network + chance.randrange(1 << 16, 1 << 24)) for _ in range(1000)]
    return [node_at(Endpoint(host, PORT), KEY) for host in hosts]


class Mute(SealedProtocol):
    """Is there, and answers no question."""

    def _answer(self, request: Request, source: Endpoint) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Sent:
    """A datagram on its way, or lost."""

    at_s: float
    source: Endpoint
    to: Endpoint
    data: bytes = field(repr=False)


class Network:
    """Who is not plugged in gets nothing and says nothing. Only those reach a node `behind_nat` whom it has asked."""

    def __init__(self, tasks: asyncio.TaskGroup, loss: float) -> None:
        self.random = random.Random(1)
        self.loss = loss
        self.plugs: dict[Endpoint, Plug] = {}
        self.sent: list[Sent] = []
        self.behind_nat: set[Endpoint] = set()
        self.running: dict[Endpoint, asyncio.Task[None]] = {}
        self._opened: set[tuple[Endpoint, Endpoint]] = set()
        self._tasks = tasks

    def now(self) -> float:
        return START + asyncio.get_running_loop().time()

    def server(
        self,
        number: int,
        key: bytes = KEY,
        judge: Judge = newer,
        rules: AddressRules | None = None,
        kind: type[SealedProtocol] = SealedProtocol,
    ) -> SimServer:
        """A node that does not run yet."""
        protocol = kind(JudgedStorage(judge), key, rules or AddressRules(), self.random.randbytes, WallClock())
        return SimServer(self, at(number), protocol)

    async def start(self, server: SimServer, bootstrap: Iterable[Endpoint] = ()) -> SimServer:
        server.set_bootstrap(bootstrap)
        await server.listen(PORT)
        self.running[server.endpoint] = self._tasks.create_task(server.run())
        return server

    async def join(
        self, number: int, bootstrap: Iterable[Endpoint] = (), kind: type[SealedProtocol] = SealedProtocol
    ) -> SimServer:
        return await self.start(self.server(number, kind=kind), bootstrap)

    async def mesh(self, count: int, settle_s: float = 60.0) -> list[SimServer]:
        """That many, who all enter through the first, and have met."""
        servers = [await self.join(number, [at(0)]) for number in range(count)]
        await asyncio.sleep(settle_s)
        return servers

    def kill(self, *servers: SimServer) -> None:
        """Ends nodes without a word."""
        for server in servers:
            self.running.pop(server.endpoint).cancel()
            server.stop()

    def send(self, data: bytes, source: Endpoint, to: Endpoint) -> None:
        """Takes a datagram, whether its source is true or forged."""
        self.sent.append(Sent(self.now(), source, to, data))
        self._opened.add((source, to))
        if self.random.random() >= self.loss:
            asyncio.get_running_loop().call_later(DELAY_S, self._deliver, data, source, to)

    def _deliver(self, data: bytes, source: Endpoint, to: Endpoint) -> None:
        node = Endpoint(to.host, PORT)
        plug = self.plugs.get(node)
        if plug is None or (node in self.behind_nat and (to, source) not in self._opened):
            return
        plug.protocol.handle_datagram(data, source, plug.now(), SECOND_PORT if to.port == OTHER_PORT else "")
        plug.pump()


@asynccontextmanager
async def network(loss: float = 0.0) -> AsyncIterator[Network]:
    """A network whose nodes end with it."""
    random.seed(1)  # of the pauses between two refreshes
    async with asyncio.TaskGroup() as tasks:
        net = Network(tasks, loss)
        yield net
        for task in net.running.values():
            task.cancel()
