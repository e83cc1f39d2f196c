"""The operator's peers: their names are looked up again and again, since a dynamic name moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from wgmesh.core.backoff import delays
from wgmesh.core.errors import InvalidSetting, NotReady
from wgmesh.core.model import Endpoint
from wgmesh.runtime.resolver import Lookup, Resolver, look_up

FIRST_RETRY_S = 2.0
LAST_RETRY_S = 300.0
AGAIN_S = 300.0  # a peer behind a dynamic name has moved by then at the latest


def parse_static_peer(text: str) -> tuple[str, int]:
    """Splits HOST:PORT or [IPV6]:PORT. Raises InvalidSetting."""
    host, colon, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not is_port or not bare or (":" in host and bare == host):
        raise InvalidSetting("peer", f"{text!r} is not HOST:PORT; use for example node.example.org:51821.")
    return bare, int(port)


class StaticPeers:
    """Keeps the addresses of the operator's peers current."""

    def __init__(
        self, peers: Sequence[tuple[str, int]], on_addresses: Callable[[list[Endpoint]], None], lookup: Lookup = look_up
    ) -> None:
        """`on_addresses` gets all addresses known, whenever that changes."""
        self._peers = tuple(dict.fromkeys(peers))
        self._on_addresses = on_addresses
        self._resolver = Resolver(lookup)
        self._found: dict[tuple[str, int], list[Endpoint]] = {}
        self.failures: dict[str, str] = {}
        """Names without address, and a sentence why."""

    async def run(self) -> None:
        """Runs until cancelled, or until there is nothing left to look up."""
        names = []
        for host, port in self._peers:
            try:
                self._found[host, port] = [Endpoint.of(host, port)]
            except ValueError:
                names.append((host, port))
        self._report()
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(self._follow(name))

    async def _follow(self, name: tuple[str, int]) -> None:
        pauses = delays(FIRST_RETRY_S, LAST_RETRY_S, random.random)
        while True:
            try:
                self._found[name] = await self._resolver.resolve(*name)
            except NotReady as error:
                self.failures[name[0]] = str(error)
                self._report()
                await asyncio.sleep(next(pauses))
                continue
            self.failures.pop(name[0], None)
            self._report()
            pauses = delays(FIRST_RETRY_S, LAST_RETRY_S, random.random)
            await asyncio.sleep(AGAIN_S)

    def _report(self) -> None:
        self._on_addresses([endpoint for found in self._found.values() for endpoint in found])
