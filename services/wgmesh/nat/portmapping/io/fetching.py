"""One HTTP request over TCP, bounded in time and size."""

from __future__ import annotations

import asyncio

from wgmesh.nat.portmapping.http import RESPONSE_MAX_BYTES
from wgmesh.nat.portmapping.mapper import FETCH_TIMEOUT_S
from wgmesh.nat.portmapping.steps import Fetch


async def fetched(fetch: Fetch) -> bytes | None:
    """Returns all bytes until the router closes the connection, None where nothing comes, too much, or too late."""
    try:
        async with asyncio.timeout(FETCH_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(str(fetch.to.host), fetch.to.port)
            try:
                writer.write(fetch.request)
                data = b""
                while piece := await reader.read(RESPONSE_MAX_BYTES):
                    data += piece
                    if len(data) > RESPONSE_MAX_BYTES:
                        return None
                return data or None
            finally:
                writer.close()
    except OSError:  # TimeoutError is one
        return None
