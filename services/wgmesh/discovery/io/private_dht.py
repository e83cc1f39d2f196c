"""The private DHT on its UDP port."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from wgmesh.core.errors import NotReady
from wgmesh.core.model import Endpoint
from wgmesh.discovery.address_rules import AddressRules
from wgmesh.discovery.io.sockets import open_exchange_socket
from wgmesh.discovery.private_node import Found, NodesChanged, PrivateNode, Stored
from wgmesh.discovery.private_store import Judge
from wgmesh.runtime.datagram import DatagramDriver

NO_LAN_PORT = -1  # nobody else shares this port


class PrivateDht:
    """Runs one node. Made and used on a running event loop; it opens nothing before `start`, and is ended by `close`.

    Keys have 20 or 32 bytes, values 1 to 900. A `get` or `put` takes at most some seven seconds.
    """

    def __init__(
        self,
        key: bytes,
        judge: Judge,
        random_bytes: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.time,
        rules: AddressRules | None = None,
        on_nodes: Callable[[int], None] | None = None,
    ) -> None:
        """`key` is the mesh's `private_dht_key`; `judge` says which value may take another's place, and never raises.

        `clock` gives Unix seconds. `rules` keep addresses inside the tunnel out. `on_nodes` gets each new number of
        nodes.
        """
        self._clock = clock
        self._node = PrivateNode(key, judge, random_bytes, rules)
        self._driver: DatagramDriver[NodesChanged | Stored | Found] | None = None
        self._on_nodes = on_nodes
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._port = 0
        self._is_closed = False

    @property
    def port(self) -> int:
        """The UDP port it listens on, which is not the wished one where that was taken; 0 before `start`."""
        return self._port

    @property
    def node_count(self) -> int:
        """How many other nodes are known that have answered."""
        return self._node.node_count

    @property
    def sent_bytes(self) -> int:
        """What was sent so far, without the headers of IP and UDP."""
        return self._node.sent_bytes

    @property
    def rejected_count(self) -> int:
        """How many datagrams came and were dropped, mostly because they are not of this mesh."""
        return self._node.rejected_count

    async def start(self, port: int, bootstrap: Iterable[Endpoint]) -> None:
        """Opens the port, or a free one where it is taken, on all addresses of both families, and begins to enter.

        Returns before anybody has answered. Raises NotReady where no UDP port can be bound at all.
        """
        if self._driver is not None:
            raise RuntimeError("a private DHT is started once")
        bound = open_exchange_socket(port, NO_LAN_PORT).socket
        self._port = bound.getsockname()[1]
        self._driver = DatagramDriver(self._node, {"": bound}, self._hear, self._clock)
        self._node.start(bootstrap, self._driver.now())
        self._driver.pump()

    def add_nodes(self, endpoints: Iterable[Endpoint]) -> None:
        """Takes nodes that may be there, and asks some of them at once."""
        self._node.add_nodes(endpoints, self._now())
        self._pump()

    async def put(self, key: bytes, value: bytes) -> int:
        """Stores a value here and at the nodes closest to `key`; returns how many others keep it.

        0 also where key or value do not have their sizes, or the judge refuses. Raises NotReady if it is not running.
        """
        driver = self._running()
        count: int = await self._outcome(self._node.put(key, value, driver.now()))
        return count

    async def get(self, key: bytes) -> list[bytes]:
        """Returns all distinct values that lie under `key` here and at the closest nodes. Raises NotReady as `put`."""
        driver = self._running()
        values: tuple[bytes, ...] = await self._outcome(self._node.get(key, driver.now()))
        return list(values)

    def state(self) -> bytes:
        """Returns the nodes that answered last, at most 200, as JSON for `restore`."""
        return self._node.state()

    def restore(self, data: bytes) -> None:
        """Takes what `state` once returned, before or after `start`. Entries that are damaged are left out."""
        self._node.restore(data, self._now())
        self._pump()

    def close(self) -> None:
        """Ends it. Whoever still waits gets NotReady. May be called twice."""
        self._is_closed = True
        if self._driver is not None:
            self._driver.close()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(NotReady("The private DHT was closed."))

    def _running(self) -> DatagramDriver[NodesChanged | Stored | Found]:
        if self._driver is None or self._is_closed:
            raise NotReady("The private DHT is not running.")
        return self._driver

    def _now(self) -> float:
        return self._clock() if self._driver is None else self._driver.now()

    def _pump(self) -> None:
        if self._driver is not None:
            self._driver.pump()

    async def _outcome(self, ticket: int) -> Any:
        future = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        self._pump()  # may end it at once
        try:
            return await future
        finally:
            self._waiting.pop(ticket, None)

    def _hear(self, event: NodesChanged | Stored | Found) -> None:
        if isinstance(event, NodesChanged):
            if self._on_nodes is not None:
                self._on_nodes(event.count)
            return
        future = self._waiting.get(event.ticket)
        if future is not None and not future.done():
            future.set_result(event.count if isinstance(event, Stored) else event.values)
