"""A very small HTTP/1.1 server: GET, one request a connection, everything bounded.

A scrape needs no more, and a web framework would cost more memory than the rest of the metrics process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from wgmesh.core.errors import InvalidSetting
from wgmesh.metrics.page import Reply
from wgmesh.metrics.settings import METRICS_FLAG, ListenAddress

MAX_REQUEST_BYTES = 8 * 1024  # what common servers allow for the request line and headers
REQUEST_TIMEOUT_S = 5.0  # Prometheus sends its request at once
RESPONSE_TIMEOUT_S = 10.0  # Prometheus's own default scrape time-out
MAX_CONNECTIONS = 32  # a few scrapers; beyond that somebody is probing


@contextlib.asynccontextmanager
async def serve_http(address: ListenAddress, answer: Callable[[str], Reply]) -> AsyncIterator[ListenAddress]:
    """Serves while the body runs; yields the address that was really bound.

    Raises InvalidSetting when the address cannot be bound.
    """
    connections = _Connections(answer)
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
    def __init__(self, answer: Callable[[str], Reply]) -> None:
        self._answer = answer
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                reply = await self._reply_to(reader)
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
                writer.write(_encoded(reply))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.transport.abort()  # the other side went away or is too slow
        finally:
            self._open.discard(writer)

    async def _reply_to(self, reader: asyncio.StreamReader) -> Reply:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return Reply(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b"The request is too large.\n")
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return Reply(HTTPStatus.BAD_REQUEST, b"Not an HTTP/1.1 request.\n")
        method, path, _ = words
        if method != "GET":
            return Reply(HTTPStatus.METHOD_NOT_ALLOWED, b"Only GET.\n")
        return self._answer(path)

    def abort(self) -> None:
        for writer in [*self._open]:
            writer.transport.abort()


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
