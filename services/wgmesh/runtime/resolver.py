"""Host names to addresses, in threads of their own: a name server that never answers delays nobody."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

from wgmesh.core.errors import NotReady
from wgmesh.core.model import Endpoint

TIMEOUT_S = 5.0  # one try of the system's resolver (resolv.conf(5), option timeout)
LOOK_UPS_MAX = 64  # threads that hang in a dead name server; a node has a handful of names

Lookup = Callable[[str, int], list[Endpoint]]


def look_up(host: str, port: int) -> list[Endpoint]:
    """Asks the system's resolver; blocks. Raises OSError, or ValueError for what cannot be a name."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return list(dict.fromkeys(Endpoint.of(str(address[0]), port) for *_, address in answers))


class Resolver:
    """Resolves names with at most one thread for each.

    The threads are daemons, not an executor's: the interpreter waits for an executor's threads when it exits.
    """

    def __init__(self, look_up: Lookup = look_up, timeout_s: float = TIMEOUT_S) -> None:
        """`look_up` is called in a thread and may block."""
        self._look_up = look_up
        self._timeout_s = timeout_s
        self._pending: dict[tuple[str, int], asyncio.Future[list[Endpoint]]] = {}

    async def resolve(self, host: str, port: int) -> list[Endpoint]:
        """Returns the addresses of a name or literal. Raises NotReady when there are none in time.

        A look-up that takes longer goes on; the next call for the same name waits for it instead of starting another.
        """
        try:
            return [Endpoint.of(host, port)]
        except ValueError:
            pass  # a name
        try:
            async with asyncio.timeout(self._timeout_s):  # wait_for of Python 3.11 may swallow a cancellation
                found = await asyncio.shield(self._pending_or_new((host, port)))
        except TimeoutError:
            raise NotReady(f"{host} could not be resolved within {self._timeout_s:g} s.") from None
        except OSError as error:
            raise NotReady(f"{host} could not be resolved: {error.strerror or error}.") from None
        if not found:
            raise NotReady(f"{host} has no address.")
        return found

    def _pending_or_new(self, name: tuple[str, int]) -> asyncio.Future[list[Endpoint]]:
        if name not in self._pending:
            if len(self._pending) >= LOOK_UPS_MAX:
                raise NotReady(f"{name[0]} has to wait: {LOOK_UPS_MAX} other names are being looked up.")
            self._pending[name] = self._start(name)
        return self._pending[name]

    def _start(self, name: tuple[str, int]) -> asyncio.Future[list[Endpoint]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Endpoint]] = loop.create_future()

        def finish(found: list[Endpoint] | OSError) -> None:
            self._pending.pop(name, None)
            if future.done():
                return
            if isinstance(found, OSError):
                future.set_exception(found)
                future.exception()  # seen here: the caller may have given up
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
