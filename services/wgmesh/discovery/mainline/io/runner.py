"""The Mainline DHT of one node: its session, the names it enters through, and the nodes that it remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.discovery.dht import Announce, DhtRequest, GetItem, LookUp, MainlineEvent, PutItem, Trouble
from wgmesh.discovery.mainline.io.session import MainlineSession
from wgmesh.discovery.mainline.known_nodes import (
    MainlineSettings,
    decode_routing_nodes,
    encode_routing_nodes,
    is_private_swarm,
)
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.named_endpoints import Name, NamedEndpoints, parse_named_endpoint
from wgmesh.runtime.remembered_file import RememberedFile
from wgmesh.runtime.resolver import Lookup, Resolver, look_up

COUNT_FIRST_S = 0.5  # until the swarm answers, as somebody waits for it
COUNT_FOR_FIRST = 20
COUNT_S = 15.0
SAVE_S = 120.0  # upstream's
SAVE_FIRST_S = 10.0  # a node that is killed soon after its start should not start from nothing again
FILE_BYTES_MAX = 64 * 1024


class MainlineRunner:
    """Runs one session. Nothing that goes wrong here ends the service."""

    def __init__(
        self,
        port: int,
        bootstrap: Sequence[str],
        nodes_path: Path,
        log: BoundLogger,
        on_event: Callable[[MainlineEvent], None],
        lookup: Lookup = look_up,
    ) -> None:
        """`bootstrap` are HOST:PORT. Raises InvalidSetting. Made on a running event loop, ended with `close`."""
        names: list[Name] = []
        literal: list[Endpoint] = []
        for host, number in map(parse_named_endpoint, bootstrap):
            try:
                literal.append(Endpoint.of(host, number))
            except ValueError:
                names.append((host, number))
        self._nodes = RememberedFile(nodes_path, "dht nodes", FILE_BYTES_MAX, log)
        self._log = log
        self._on_event = on_event
        self._trouble = ""
        is_lab = not names and is_private_swarm(literal)
        self._session = MainlineSession(MainlineSettings(port, tuple(literal), is_lab), self._hear)
        self._session.add_nodes([node.endpoint for node in decode_routing_nodes(self._nodes.read() or b"")])
        self._bootstrap = NamedEndpoints(names, self._add_bootstrap, Resolver(lookup))

    def listen(self, addresses: Sequence[IPAddress]) -> None:
        """Follows the host's addresses; those of the mesh are left out by the caller."""
        self._session.listen(addresses)

    def ask(self, request: DhtRequest) -> None:
        """Does what the plan asks."""
        match request:
            case Announce(infohash, port):
                self._session.announce(infohash, port)
            case LookUp(infohash):
                self._session.get_peers(infohash)
            case PutItem(seed, salt, value):
                self._session.put_item(seed, salt, value)
            case GetItem(public_key, salt):
                self._session.get_item(public_key, salt)

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._count())
            tasks.create_task(self._keep_nodes())
            tasks.create_task(self._bootstrap.run())

    async def save(self) -> None:
        """Remembers the nodes that answered lately; where there are none, what is remembered stays."""
        nodes = await self._session.routing_nodes()
        if nodes:
            await self._nodes.write(encode_routing_nodes(nodes))

    def close(self) -> None:
        self._session.close()

    def _hear(self, event: MainlineEvent) -> None:
        if isinstance(event, Trouble) and event.reason != self._trouble:
            self._log.warning("dht in trouble", reason=event.reason)
            self._trouble = event.reason
        self._on_event(event)

    async def _count(self) -> None:
        for _ in range(COUNT_FOR_FIRST):
            self._session.count_nodes()
            await asyncio.sleep(COUNT_FIRST_S)
        while True:
            self._session.count_nodes()
            await asyncio.sleep(COUNT_S)

    async def _keep_nodes(self) -> None:
        await asyncio.sleep(SAVE_FIRST_S)
        while True:
            await self.save()
            await asyncio.sleep(SAVE_S)

    def _add_bootstrap(self, found: list[Endpoint]) -> None:
        if found:
            self._session.add_bootstrap(found)
