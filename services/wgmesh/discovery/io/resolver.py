"""Names of static peers to addresses, in threads of their own: a dead name server delays nobody."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Sequence

from wgmesh.core.backoff import delays
from wgmesh.core.errors import InvalidSetting
from wgmesh.core.model import Endpoint

TIMEOUT_S = 10.0  # two tries of the system's resolver (resolv.conf(5))
FIRST_RETRY_S = 2.0
LAST_RETRY_S = 300.0
AGAIN_S = 300.0  # a peer behind a dynamic name has moved by then at the latest

Lookup = Callable[[str, int], list[Endpoint]]


def parse_static_peer(text: str) -> tuple[str, int]:
    """Splits HOST:PORT or [IPV6]:PORT. Raises InvalidSetting."""
    host, colon, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not is_port or not bare or (":" in host and bare == host):
        raise InvalidSetting("peer", f"{text!r} is not HOST:PORT; use for example node.example.org:51821.")
    return bare, int(port)


def look_up(host: str, port: int) -> list[Endpoint]:
    """Asks the system's resolver; blocks. Raises OSError."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return list(dict.fromkeys(Endpoint.of(str(address[0]), port) for *_, address in answers))


class StaticPeers:
    """Keeps the addresses of the operator's peers current."""

    def __init__(
        self, peers: Sequence[tuple[str, int]], on_addresses: Callable[[list[Endpoint]], None], lookup: Lookup = look_up
    ) -> None:
        """`on_addresses` gets all addresses known, whenever that changes."""
        self._peers = tuple(dict.fromkeys(peers))
        self._on_addresses = on_addresses
        self._look_up = lookup
        self._found: dict[tuple[str, int], list[Endpoint]] = {}
        self.failures: dict[str, str] = {}
        """Names without address, and why."""

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
                async with asyncio.timeout(TIMEOUT_S):  # wait_for of Python 3.11 may swallow a cancellation
                    found = await self._start(name)
            except TimeoutError:
                self._fail(name, "no answer from the name server")
            except OSError as error:
                self._fail(name, error.strerror or str(error))
            else:
                self.failures.pop(name[0], None)
                if found != self._found.get(name):
                    self._found[name] = found
                self._report()
                await asyncio.sleep(AGAIN_S)
                continue
            await asyncio.sleep(next(pauses))

    def _fail(self, name: tuple[str, int], reason: str) -> None:
        self.failures[name[0]] = reason
        self._report()

    def _report(self) -> None:
        self._on_addresses([endpoint for found in self._found.values() for endpoint in found])

    def _start(self, name: tuple[str, int]) -> asyncio.Future[list[Endpoint]]:
        """Looks up in a daemon thread: the interpreter would wait for an executor's threads when it exits."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Endpoint]] = loop.create_future()

        def finish(found: list[Endpoint] | OSError) -> None:
            if future.done():
                return
            if isinstance(found, OSError):
                future.set_exception(found)
            else:
                future.set_result(found)

        def work() -> None:
            found: list[Endpoint] | OSError
            try:
                found = self._look_up(*name)
            except OSError as error:
                found = error
            except ValueError as error:  # a name that no resolver takes, such as an over-long label
                found = OSError(0, str(error))
            try:
                loop.call_soon_threadsafe(finish, found)
            except RuntimeError:  # the loop has closed: nobody waits any more
                return

        threading.Thread(target=work, name=f"resolve {name[0]}", daemon=True).start()
        return future
