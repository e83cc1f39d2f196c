"""Endpoints by host name: each name is looked up again and again, since a dynamic name moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable

from wgmesh.core.backoff import delays
from wgmesh.core.errors import InvalidSetting, NotReady
from wgmesh.core.model import Endpoint
from wgmesh.runtime import logs
from wgmesh.runtime.resolver import Resolver

FIRST_RETRY_S = 2.0  # a name server often comes up just after the node
LAST_RETRY_S = 300.0
AGAIN_S = 300.0  # a name that leads to where somebody answers
SILENT_AGAIN_S = 30.0  # one where nobody answers: its peer may have moved, and a dynamic name lives for a minute

Name = tuple[str, int]
"""A host and a port."""


def parse_named_endpoint(text: str) -> Name:
    """Splits HOST:PORT or [IPV6]:PORT. Raises InvalidSetting."""
    host, colon, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not is_port or not bare or (":" in host and bare == host):
        raise InvalidSetting("peer", f"{text!r} is not HOST:PORT; use for example node.example.org:51821.")
    return bare, int(port)


class NamedEndpoints:
    """Keeps the addresses of some names current. A name that is an address needs no look-up."""

    def __init__(
        self,
        names: Iterable[Name],
        on_addresses: Callable[[list[Endpoint]], None],
        resolver: Resolver | None = None,
        are_silent: Callable[[list[Endpoint]], bool] = lambda addresses: False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`on_addresses` gets all addresses known, first and whenever they or the failures change.

        `are_silent` says of the addresses of one name whether nobody answers there: it is looked up sooner again then.
        """
        self._are_silent = are_silent
        self._sleep = sleep
        self._names = tuple(dict.fromkeys(names))
        self._on_addresses = on_addresses
        self._resolver = resolver or Resolver()
        self._log = logs.logger()
        self.found: dict[Name, list[Endpoint]] = {}
        """What each name has led to, also where it fails at present."""
        self.failures: dict[str, str] = {}
        """Hosts that cannot be looked up at present, and a sentence why."""

    async def run(self) -> None:
        """Runs until cancelled, or until there is nothing left to look up."""
        names = []
        for host, port in self._names:
            try:
                self.found[host, port] = [Endpoint.of(host, port)]
            except ValueError:
                names.append((host, port))
        self._report()
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(self._follow(name))

    async def _follow(self, name: Name) -> None:
        pauses = delays(FIRST_RETRY_S, LAST_RETRY_S, random.random)
        while True:
            pause_s: float | None
            before = (self.found.get(name), self.failures.get(name[0]))
            try:
                self.found[name] = await self._resolver.resolve(*name)
                self.failures.pop(name[0], None)
                pauses, pause_s = delays(FIRST_RETRY_S, LAST_RETRY_S, random.random), None
            except NotReady as error:
                self.failures[name[0]] = str(error)
                pause_s = next(pauses)
            reason = self.failures.get(name[0])
            if reason is not None and reason != before[1]:
                self._log.debug("name not resolved", host=name[0], reason=reason)
            if before != (self.found.get(name), reason):
                self._report()
            if pause_s is not None:
                await self._sleep(pause_s)
            else:
                await self._while_answered(self.found[name])

    async def _while_answered(self, addresses: list[Endpoint]) -> None:
        """Waits until it is time to look a name up again that led to these."""
        waited_s = 0.0
        while waited_s < AGAIN_S:
            await self._sleep(SILENT_AGAIN_S)
            waited_s += SILENT_AGAIN_S
            if self._are_silent(addresses):
                return

    def _report(self) -> None:
        self._on_addresses([endpoint for found in self.found.values() for endpoint in found])
