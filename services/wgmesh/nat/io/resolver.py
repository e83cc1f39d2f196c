"""Server names to addresses, in threads of their own: a name server that never answers delays nobody."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable

from wgmesh.core.errors import InvalidSetting, NotReady
from wgmesh.core.model import Endpoint

RESOLVE_TIMEOUT_S = 5.0  # one resolver try of glibc (resolv.conf(5), option timeout)
DEFAULT_STUN_PORT = 3478  # RFC 8489, section 18.6

Lookup = Callable[[str, int], list[Endpoint]]


def parse_server(text: str) -> tuple[str, int]:
    """Splits `host`, `host:port`, `[ipv6]:port` or a bare IPv6 literal. Raises InvalidSetting."""
    try:
        return str(ipaddress.ip_address(text.strip("[]"))), DEFAULT_STUN_PORT
    except ValueError:
        host, colon, port = text.rpartition(":")
    if not colon:
        return text, DEFAULT_STUN_PORT
    if not host or not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise InvalidSetting("stun", f"{text!r} is not a server and port, such as stun.example.org:3478.")
    return host.strip("[]"), int(port)


def lookup(host: str, port: int) -> list[Endpoint]:
    """Asks the system's resolver; blocks. Raises OSError."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return list(dict.fromkeys(Endpoint.of(str(address[0]), port) for *_, address in answers))


class Resolver:
    """Resolves names with at most one thread for each.

    The threads are daemons, not an executor's: the interpreter waits for an executor's threads when it exits.
    """

    def __init__(self, look_up: Lookup = lookup) -> None:
        self._look_up = look_up
        self._pending: dict[tuple[str, int], asyncio.Future[list[Endpoint]]] = {}

    async def resolve(self, host: str, port: int) -> list[Endpoint]:
        """Returns the addresses of a name or literal. Raises NotReady when there are none within 5 s.

        A look-up that takes longer goes on; the next call for the same name waits for it instead of starting another.
        """
        try:
            return [Endpoint.of(host, port)]
        except ValueError:
            pass
        key = (host, port)
        if key not in self._pending:
            self._pending[key] = self._start(key)
        try:
            found = await asyncio.wait_for(asyncio.shield(self._pending[key]), RESOLVE_TIMEOUT_S)
        except TimeoutError:
            raise NotReady(f"{host} could not be resolved within {RESOLVE_TIMEOUT_S:.0f} s.") from None
        except OSError as error:
            raise NotReady(f"{host} could not be resolved: {error.strerror}.") from None
        if not found:
            raise NotReady(f"{host} has no address.")
        return found

    def _start(self, key: tuple[str, int]) -> asyncio.Future[list[Endpoint]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Endpoint]] = loop.create_future()

        def finish(found: list[Endpoint] | OSError) -> None:
            self._pending.pop(key, None)
            if future.done():
                return
            if isinstance(found, OSError):
                future.set_exception(found)
                future.exception()  # seen here: the waiter may have given up
            else:
                future.set_result(found)

        def work() -> None:
            found: list[Endpoint] | OSError
            try:
                found = self._look_up(*key)
            except OSError as error:
                found = error
            except ValueError as error:  # a name that no resolver takes, such as an over-long label
                found = OSError(0, str(error))
            try:
                loop.call_soon_threadsafe(finish, found)
            except RuntimeError:  # the loop has closed: nobody waits any more
                return

        threading.Thread(target=work, name=f"resolve {key[0]}", daemon=True).start()
        return future
