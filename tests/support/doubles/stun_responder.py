"""A STUN server for tests, on the project's own codec: it tells every asker where it saw the request come from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.stun import codec as stun

Answer = Callable[[stun.Message, Endpoint], bytes | None]


def lying(claimed: Endpoint) -> Answer:
    """Answers everybody with one address."""
    return lambda request, source: honest(request, claimed)


def honest(request: stun.Message, source: Endpoint) -> bytes | None:
    """Answers with the source address, as RFC 8489 says."""
    mapped = stun.Attribute(stun.AttributeType.XOR_MAPPED_ADDRESS, source)
    software = stun.Attribute(stun.AttributeType.SOFTWARE, "test responder")
    message = stun.Message(stun.MessageType.BINDING_SUCCESS, request.transaction_id, (software, mapped))
    return stun.encode(message, fingerprint=True)


class StunResponder(asyncio.DatagramProtocol):
    """Answers requests; what is not STUN goes to `on_other`."""

    def __init__(self, answer: Answer, on_other: Callable[[bytes, Endpoint], None]) -> None:
        self._answer = answer
        self._on_other = on_other
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        source = Endpoint.of(addr[0], addr[1])
        try:
            request = stun.decode(data)
        except MalformedMessage:
            self._on_other(data, source)
            return
        answer = self._answer(request, source)
        if answer is not None:
            self._transport.sendto(answer, addr)


def _ignore(data: bytes, source: Endpoint) -> None:
    pass


@asynccontextmanager
async def responding(
    addresses: Sequence[tuple[str, int]],
    answer: Answer = honest,
    on_other: Callable[[bytes, Endpoint], None] = _ignore,
) -> AsyncIterator[list[Endpoint]]:
    """Serves on each address (port 0 takes a free one) and yields the endpoints."""
    loop = asyncio.get_running_loop()
    transports = []
    try:
        for address in addresses:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: StunResponder(answer, on_other), local_addr=address
            )
            transports.append(transport)
        yield [Endpoint.of(*transport.get_extra_info("sockname")[:2]) for transport in transports]
    finally:
        for transport in transports:
            transport.close()
