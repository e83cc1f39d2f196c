from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from wgmesh.core.model import Endpoint
from wgmesh.nat.portmapping.http import RESPONSE_MAX_BYTES
from wgmesh.nat.portmapping.io.fetching import fetched
from wgmesh.nat.portmapping.steps import Fetch

REQUEST = b"GET / HTTP/1.1\r\n\r\n"


@asynccontextmanager
async def answering(data: bytes) -> AsyncIterator[Endpoint]:
    """A server that answers each request with these bytes and ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(REQUEST)) == REQUEST
        writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Endpoint.of(*server.sockets[0].getsockname())


@pytest.mark.parametrize(
    ("data", "taken"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nx", b"HTTP/1.1 200 OK\r\n\r\nx"),
        (bytes(RESPONSE_MAX_BYTES), bytes(RESPONSE_MAX_BYTES)),
        (bytes(RESPONSE_MAX_BYTES + 1), None),
        (b"", None),
    ],
    ids=["short", "as long as may be", "too long", "nothing"],
)
async def test_a_response_is_taken_whole_or_not_at_all(data: bytes, taken: bytes | None) -> None:
    async with answering(data) as to:
        assert await fetched(Fetch(to, REQUEST)) == taken


async def test_where_nobody_listens_nothing_is_fetched() -> None:
    async with answering(b"") as to:
        pass

    assert await fetched(Fetch(to, REQUEST)) is None
