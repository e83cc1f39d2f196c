"""A very small HTTP/1.1 server: GET, one request a connection, everything bounded.

A scrape needs no more, and a web framework would cost more memory than the rest of the metrics process. There is no
password, so a slow or greedy client may be anybody: it loses its own places and its own turns, and no scraper's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus

from wgmesh.core.errors import InvalidSetting
from wgmesh.core.model import IPNetwork
from wgmesh.core.network_index import owner_network
from wgmesh.core.places import Places
from wgmesh.core.ratelimit import RateLimiter
from wgmesh.metrics.page import Reply
from wgmesh.metrics.settings import METRICS_FLAG, ListenAddress

MAX_REQUEST_BYTES = 8 * 1024  # what common servers allow for the request line and headers
REQUEST_TIMEOUT_S = 5.0  # Prometheus sends its request at once
RESPONSE_TIMEOUT_S = 10.0  # Prometheus's own default scrape time-out
MAX_CONNECTIONS = 32  # a few scrapers; beyond that somebody is probing
MAX_CONNECTIONS_OF_SOURCE = 8  # two scrapers on one machine, a browser, and a curl
PAGES_PER_S = 10.0  # of one source; a page of a large mesh takes ten milliseconds to write
PAGES_AT_ONCE = 50.0


TOO_MANY = Reply(HTTPStatus.TOO_MANY_REQUESTS, b"Too many requests. Ask less often.\n")


@contextlib.asynccontextmanager
async def serve_http(
    address: ListenAddress, answer: Callable[[str], Awaitable[Reply]], request_timeout_s: float = REQUEST_TIMEOUT_S
) -> AsyncIterator[ListenAddress]:
    """Serves while the body runs; yields the address that was really bound.

    Raises InvalidSetting when the address cannot be bound.
    """
    connections = _Connections(answer, request_timeout_s)
    try:
        server = await asyncio.start_server(
            connections.serve, address.host, address.port, limit=MAX_REQUEST_BYTES, reuse_address=True
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidSetting(
            METRICS_FLAG, f"cannot listen on {address} ({reason}). Choose another address, or stop what uses it."
        ) from None
    try:
        yield ListenAddress(address.host, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        connections.abort()
        await server.wait_closed()


class _Connections:
    def __init__(self, answer: Callable[[str], Awaitable[Reply]], request_timeout_s: float) -> None:
        self._answer = answer
        self._request_timeout_s = request_timeout_s
        self._places: Places[asyncio.StreamWriter, IPNetwork] = Places(MAX_CONNECTIONS, MAX_CONNECTIONS_OF_SOURCE)
        self._limiter: RateLimiter[IPNetwork] = RateLimiter(PAGES_PER_S, PAGES_AT_ONCE)
        self._now = asyncio.get_running_loop().time

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer is None:  # gone already
            writer.transport.abort()
            return
        source = source_of(peer[0])
        leaving = self._places.admit(writer, source)
        if leaving is not None:
            leaving.transport.abort()
        try:
            async with asyncio.timeout(self._request_timeout_s):
                head = await self._head(reader)
            self._places.earn(writer)
            reply = await self._reply_to(head) if self._limiter.allows(source, self._now()) else TOO_MANY
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
                writer.write(_encoded(reply))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.transport.abort()  # the other side went away or is too slow
        finally:
            self._places.leave(writer)

    async def _head(self, reader: asyncio.StreamReader) -> bytes | None:
        """The request line and headers, None if they are too large."""
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return None

    async def _reply_to(self, head: bytes | None) -> Reply:
        if head is None:
            return Reply(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b"The request is too large.\n")
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return Reply(HTTPStatus.BAD_REQUEST, b"Not an HTTP/1.1 request.\n")
        method, path, _ = words
        if method != "GET":
            return Reply(HTTPStatus.METHOD_NOT_ALLOWED, b"Only GET.\n")
        return await self._answer(path)

    def abort(self) -> None:
        for writer in [*self._places]:
            writer.transport.abort()


def source_of(host: str) -> IPNetwork:
    """The part of the network that counts as one client."""
    return owner_network(ipaddress.ip_address(host.partition("%")[0]))


def _encoded(reply: Reply) -> bytes:
    lines = [
        f"HTTP/1.1 {int(reply.status)} {HTTPStatus(reply.status).phrase}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(reply.body)}",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + reply.body
