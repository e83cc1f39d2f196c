"""The private DHT of one node: its port, the names it enters through, and the nodes that it remembers."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from wgmesh.core.backoff import delays
from wgmesh.core.errors import NotReady
from wgmesh.core.model import Endpoint
from wgmesh.discovery.address_rules import AddressRules
from wgmesh.discovery.events import DhtRequest
from wgmesh.discovery.io.private_dht import PrivateDht
from wgmesh.discovery.io.static_peers import parse_static_peer
from wgmesh.discovery.mainline import ReadRecord, StoreRecord
from wgmesh.discovery.private_store import Judge
from wgmesh.runtime.files import write_atomically
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.resolver import Lookup, Resolver, look_up

REQUESTS_MAX = 128  # what waits; a round of the roster is 32
WORKERS = 32  # look-ups at a time, as many as the node runs: a round of the roster waits for dead nodes once
SAVE_FIRST_S = 10.0
SAVE_S = 120.0
FILE_BYTES_MAX = 256 * 1024
RESOLVE_FIRST_S = 2.0
RESOLVE_LAST_S = 300.0


class PrivateRunner:
    """Runs one node of the private DHT. Nothing that goes wrong here ends the service."""

    def __init__(
        self,
        key: bytes,
        judge: Judge,
        rules: AddressRules,
        nodes_path: Path,
        log: BoundLogger,
        on_nodes: Callable[[int, int], None],
        on_values: Callable[[bytes, list[bytes]], None],
        lookup: Lookup = look_up,
    ) -> None:
        """`on_nodes` gets how many nodes are known and our port, `on_values` what was read under a name."""
        self._dht = PrivateDht(key, judge, rules=rules, on_nodes=self._count)
        self._nodes_path = nodes_path
        self._log = log
        self._on_nodes = on_nodes
        self._on_values = on_values
        self._resolver = Resolver(lookup)
        self._requests: deque[StoreRecord | ReadRecord] = deque(maxlen=REQUESTS_MAX)
        self._is_waiting = asyncio.Event()
        self._write_trouble: str | None = None

    def ask(self, request: DhtRequest) -> None:
        """Does what the plan asks, as soon as it is its turn."""
        if isinstance(request, StoreRecord | ReadRecord):
            self._requests.append(request)
            self._is_waiting.set()

    async def run(self, port: int, bootstrap: Sequence[str]) -> None:
        """Runs until cancelled. `bootstrap` are HOST:PORT. Raises InvalidSetting, NotReady without any UDP port."""
        literal, names = _split(bootstrap)
        self._restore()
        await self._dht.start(port, literal)
        self._count(self._dht.node_count)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_nodes())
                for _ in range(WORKERS):
                    tasks.create_task(self._work())
                for name in names:
                    tasks.create_task(self._resolve(name))
        finally:
            await self._save()
            self._dht.close()

    async def _work(self) -> None:
        while True:
            await self._is_waiting.wait()
            if not self._requests:
                self._is_waiting.clear()
                continue
            request = self._requests.popleft()
            if isinstance(request, StoreRecord):
                await self._dht.put(request.name, request.value)
                continue
            values = await self._dht.get(request.name)
            if values:
                self._on_values(request.name, values)

    def _count(self, count: int) -> None:
        self._on_nodes(count, self._dht.port)

    async def _keep_nodes(self) -> None:
        await asyncio.sleep(SAVE_FIRST_S)
        while True:
            await self._save()
            await asyncio.sleep(SAVE_S)

    async def _save(self) -> None:
        """Remembers the nodes that answered; where there are none, what is remembered stays."""
        if not self._dht.node_count:
            return
        try:
            await asyncio.to_thread(write_atomically, self._nodes_path, self._dht.state())
        except OSError as error:
            if error.strerror != self._write_trouble:
                self._log.warning("dht nodes not written", path=str(self._nodes_path), reason=error.strerror)
            self._write_trouble = error.strerror

    def _restore(self) -> None:
        try:
            with self._nodes_path.open("rb") as file:
                self._dht.restore(file.read(FILE_BYTES_MAX))
        except FileNotFoundError:
            return
        except OSError as error:
            self._log.warning("dht nodes not read", path=str(self._nodes_path), reason=error.strerror)

    async def _resolve(self, name: tuple[str, int]) -> None:
        """Keeps asking: an address may change, and one that is known already costs nothing."""
        pauses = delays(RESOLVE_FIRST_S, RESOLVE_LAST_S, random.random)
        for pause_s in pauses:
            try:
                self._dht.add_nodes(await self._resolver.resolve(*name))
                pause_s = RESOLVE_LAST_S
            except NotReady as error:
                self._log.debug("dht bootstrap not resolved", reason=str(error))
            await asyncio.sleep(pause_s)


def _split(bootstrap: Sequence[str]) -> tuple[list[Endpoint], list[tuple[str, int]]]:
    """Parts literal addresses from names. Raises InvalidSetting."""
    literal: list[Endpoint] = []
    names: list[tuple[str, int]] = []
    for host, port in map(parse_static_peer, bootstrap):
        try:
            literal.append(Endpoint.of(host, port))
        except ValueError:
            names.append((host, port))
    return literal, names
