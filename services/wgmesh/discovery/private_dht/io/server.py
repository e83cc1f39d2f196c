"""kademlia's server as a member of the mesh runs it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import suppress

from kademlia.network import Server
from kademlia.node import Node
from wgmesh.core.backoff import delays
from wgmesh.core.model import Endpoint
from wgmesh.core.node_cache import MAX_NODES, encode_nodes
from wgmesh.discovery.dht import DhtEvent, DhtRequest, NodesCounted, ReadRecord, RecordsRead, StoreRecord
from wgmesh.discovery.members.rotation import Rotation
from wgmesh.discovery.private_dht.io.lookup import Lookup
from wgmesh.discovery.private_dht.io.protocol import PATIENCE_S, QUESTION_BYTES, SECOND_PORT, SealedProtocol
from wgmesh.runtime.datagram import DatagramDriver
from wgmesh.runtime.udp_sockets import open_exchange_socket

REQUESTS_MAX = 128  # that wait; a round of the roster is 32
WORKERS = 32  # requests at a time: a round of the roster waits for dead nodes once
DEADLINE_S = 5.0  # of a look-up: what is known then is the result
CHECKED = 4  # contacts at a time, those first that were silent for longest
ENTRIES = 4  # of what the operator named and of what was known once: dead ones of one kind do not hold up the other
# From the first to the last pause: while nobody is known (eight dead addresses cost less than 1 MB a day), and then.
ENTER_S = (1.0, 180.0)
REFRESH_S = (2.0, 1800.0)


class PrivateDhtServer(Server):  # type: ignore[misc]  # the package has no types
    """A node of the private DHT. Nothing that goes wrong here ends the service."""

    def __init__(self, protocol: SealedProtocol, on_event: Callable[[DhtEvent], None]) -> None:
        super().__init__(storage=protocol.storage)
        self.protocol = protocol
        self._on_event = on_event
        self._named: Rotation[Endpoint] = Rotation(MAX_NODES)
        self._requests: asyncio.Queue[DhtRequest] = asyncio.Queue(REQUESTS_MAX)
        self._is_alone = True
        self._has_news = asyncio.Event()

    def ask(self, request: DhtRequest) -> None:
        """Does what the schedule asks. What is too much is left out: the schedule asks again."""
        if not self._requests.full():
            self._requests.put_nowait(request)

    def set_bootstrap(self, endpoints: Iterable[Endpoint]) -> None:
        """Makes these all nodes that the operator named, and tries some at once."""
        self._named = Rotation(MAX_NODES)
        self._named.enter(*endpoints)
        self._has_news.set()

    def state(self) -> bytes | None:
        """Returns the nodes that the next run may enter through, for their file; None while nobody is known."""
        nodes = [Endpoint(each.ip, each.port) for each in reversed(self.protocol.router.nodes())]
        return encode_nodes([*nodes, *self.protocol.remembered]) if nodes else None

    async def listen(self, port: int, interface: str = "") -> None:
        """Opens the port, or a free one where it is taken, on all addresses. Raises NotReady."""
        main, second = open_exchange_socket(port), open_exchange_socket(0)
        self.port = main.socket.getsockname()[1]
        self.transport = DatagramDriver(self.protocol, {"": main.socket, SECOND_PORT: second.socket}, self.count)
        self.protocol.connection_made(self.transport)

    async def run(self) -> None:
        """Enters, and does what is asked, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            while True:
                self._has_news.clear()
                for pause_s in delays(*(ENTER_S if self._is_alone else REFRESH_S), random.random):
                    await self._refresh_table()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause_s):
                            await self._has_news.wait()
                            break

    async def put(self, key: bytes, value: bytes) -> int:
        """Stores a value here and at the nodes closest to `key`; returns how many others keep it."""
        if not self.storage.write(key, value, None):
            return 0
        calls = [self.protocol.call_store(each, key, value) for each in (await self._look_up(Node(key))).closest()]
        return (await asyncio.gather(*calls)).count((True, True))

    async def get(self, key: bytes) -> list[bytes]:
        """Returns all good values that lie under `key`, here and at the closest nodes."""
        found = await self._look_up(Node(key), wants_values=True)
        return list(dict.fromkeys((*self.storage.values(key), *found.values)))

    async def _work(self) -> None:
        while True:
            match await self._requests.get():
                case StoreRecord(name, value):
                    await self.put(name, value)
                case ReadRecord(name):
                    if values := await self.get(name):
                        self._on_event(RecordsRead(name, tuple(values)))

    async def _refresh_table(self) -> None:
        table = self.protocol.router
        entries = dict.fromkeys((*self._named.take(ENTRIES), *self.protocol.remembered.take(ENTRIES)))
        strangers = [*filter(table.is_new_node, self.protocol.nodes_at(entries))]
        for node in strangers:  # that we were given or have once known: each may be asked, and once more
            self.protocol.unanswered.grant(node.ip, QUESTION_BYTES, len(PATIENCE_S))
        asked = [*table.nodes()[:CHECKED], *strangers]
        outcomes = await asyncio.gather(*map(self.protocol.call_ping, asked))
        there = [node for node, (is_there, _) in zip(asked, outcomes, strict=True) if is_there]
        await self._look_up(Node(self.protocol.random_id()), there)

    async def _look_up(self, target: Node, start: Iterable[Node] = (), wants_values: bool = False) -> Lookup:
        lookup = Lookup(self.protocol, target, start, wants_values)
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                await lookup.find()
        return lookup

    def count(self, count: int) -> None:
        if self._is_alone is (count > 0):
            self._is_alone = not self._is_alone
            self._has_news.set()
        self._on_event(NodesCounted(count, self.port))
