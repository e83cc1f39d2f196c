"""The Mainline DHT of one node: its session, the names it enters through, and the nodes that it remembers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from wgmesh.core.backoff import delays
from wgmesh.core.errors import NotReady
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.discovery.events import DhtRequest
from wgmesh.discovery.io.mainline import MainlineSession
from wgmesh.discovery.io.static_peers import parse_static_peer
from wgmesh.discovery.mainline import (
    GetItem,
    MainlineEvent,
    MainlineSettings,
    PutItem,
    Trouble,
    decode_routing_nodes,
    encode_routing_nodes,
    is_private_swarm,
)
from wgmesh.discovery.mainline_plan import Announce, LookUp
from wgmesh.runtime.files import write_atomically
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.resolver import Lookup, Resolver, look_up

COUNT_FIRST_S = 0.5  # until the swarm answers, as somebody waits for it
COUNT_FOR_FIRST = 20
COUNT_S = 15.0
SAVE_S = 120.0  # upstream's
SAVE_FIRST_S = 10.0  # a node that is killed soon after its start shall not start from nothing again
FILE_BYTES_MAX = 64 * 1024
RESOLVE_FIRST_S = 2.0
RESOLVE_LAST_S = 300.0


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
        self._names: list[tuple[str, int]] = []
        literal: list[Endpoint] = []
        for host, number in map(parse_static_peer, bootstrap):
            try:
                literal.append(Endpoint.of(host, number))
            except ValueError:
                self._names.append((host, number))
        self._nodes_path = nodes_path
        self._log = log
        self._on_event = on_event
        self._resolver = Resolver(lookup)
        self._trouble = ""
        self._write_trouble: str | None = None
        remembered = self._load()
        is_lab = not self._names and is_private_swarm(literal)
        self._session = MainlineSession(MainlineSettings(port, tuple(literal), is_lab), self._hear)
        self._session.add_nodes(remembered)

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
            for name in self._names:
                tasks.create_task(self._resolve(name))

    async def save(self) -> None:
        """Remembers the nodes that answered lately; where there are none, what is remembered stays."""
        nodes = await self._session.routing_nodes()
        if not nodes:
            return
        try:
            await asyncio.to_thread(write_atomically, self._nodes_path, encode_routing_nodes(nodes))
        except OSError as error:
            if error.strerror != self._write_trouble:
                self._log.warning("dht nodes not written", path=str(self._nodes_path), reason=error.strerror)
            self._write_trouble = error.strerror

    def close(self) -> None:
        self._session.close()

    def _hear(self, event: MainlineEvent) -> None:
        if isinstance(event, Trouble) and event.reason != self._trouble:
            self._log.warning("dht in trouble", reason=event.reason)
            self._trouble = event.reason
        self._on_event(event)

    def _load(self) -> list[Endpoint]:
        try:
            with self._nodes_path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._log.warning("dht nodes not read", path=str(self._nodes_path), reason=error.strerror)
            return []
        return [node.endpoint for node in decode_routing_nodes(data)]

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

    async def _resolve(self, name: tuple[str, int]) -> None:
        """Looks a name up until it has addresses. Names of the public swarm hardly move while a node runs."""
        for pause_s in delays(RESOLVE_FIRST_S, RESOLVE_LAST_S, random.random):
            try:
                found = await self._resolver.resolve(*name)
            except NotReady as error:
                self._log.debug("dht bootstrap not resolved", reason=str(error))
                await asyncio.sleep(pause_s)
                continue
            self._session.add_bootstrap(found)
            return
