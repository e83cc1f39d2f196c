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


@asynccontextmanager
async def responding_elsewhere(first: tuple[str, int], second: tuple[str, int]) -> AsyncIterator[None]:
    """Serves as RFC 5780 says: on both addresses with both ports, and answers from where it is told to."""
    loop = asyncio.get_running_loop()
    hosts, ports = (first[0], second[0]), (first[1], second[1])
    transports: dict[tuple[str, int], Any] = {}
    try:
        for host in hosts:
            for port in ports:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda here=(host, port): _Changing(here, hosts, ports, transports),  # type: ignore[misc]
                    local_addr=(host, port),
                )
                transports[host, port] = transport
        yield
    finally:
        for transport in transports.values():
            transport.close()


class _Changing(asyncio.DatagramProtocol):
    """One of the four sockets of a server with two addresses and two ports."""

    def __init__(
        self,
        here: tuple[str, int],
        hosts: tuple[str, str],
        ports: tuple[int, int],
        transports: dict[tuple[str, int], Any],
    ) -> None:
        self._here = here
        self._other = (_other_of(here[0], hosts), _other_of(here[1], ports))
        self._transports = transports

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = stun.decode(data)
        wanted = next((each.value for each in request.attributes if each.type is stun.AttributeType.CHANGE_REQUEST), 0)
        assert isinstance(wanted, int)
        host = self._other[0] if wanted & stun.Change.ADDRESS else self._here[0]
        port = self._other[1] if wanted & stun.Change.PORT else self._here[1]
        attributes = (
            stun.Attribute(stun.AttributeType.XOR_MAPPED_ADDRESS, Endpoint.of(*addr)),
            stun.Attribute(stun.AttributeType.OTHER_ADDRESS, Endpoint.of(*self._other)),
        )
        answer = stun.Message(stun.MessageType.BINDING_SUCCESS, request.transaction_id, attributes)
        self._transports[host, port].sendto(stun.encode(answer, fingerprint=True), addr)


def _other_of(one: Any, both: tuple[Any, Any]) -> Any:
    return both[1] if one == both[0] else both[0]


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
