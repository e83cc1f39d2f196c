"""Probe servers and clients on loopback."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.nat.io.probe_client import ProbeClient
from wgmesh.nat.io.probe_server import ProbeServer
from wgmesh.nat.tunnel_probe import ProbeTarget

OWN = ipaddress.ip_address("127.0.0.1")
SERVER = ipaddress.ip_address("127.7.0.1")
MOVED = ipaddress.ip_address("127.7.0.2")
SERVER_IPV6 = ipaddress.ip_address("::1")
KEY = PublicKey(bytes(32))


@asynccontextmanager
async def serving(addresses: set[IPAddress], port: int = 0) -> AsyncIterator[tuple[ProbeServer, int]]:
    """Serves on the loopback interface; yields the server and its port."""
    port = port or free_port()
    server = ProbeServer("lo", port)
    server.set_addresses(addresses)
    task = asyncio.ensure_future(server.run())
    try:
        await until(lambda: server.addresses == addresses)
        yield server, port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def probing(
    port: int,
    interface: str = "lo",
    *,
    on_asked: Callable[[ProbeTarget], None] = lambda target: None,
    on_answered: Callable[[PublicKey, float], None] = lambda key, rtt_s: None,
    on_unanswered: Callable[[PublicKey], None] = lambda key: None,
) -> AsyncIterator[ProbeClient]:
    """Runs a client while the body runs."""
    client = ProbeClient(interface, port, on_asked=on_asked, on_answered=on_answered, on_unanswered=on_unanswered)
    task = asyncio.ensure_future(client.run())
    try:
        yield client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(is_so: Callable[[], bool]) -> None:
    """Lets the loop turn until something is so, for at most two seconds."""
    async with asyncio.timeout(2):
        while not is_so():
            await asyncio.sleep(0)


def free_port() -> int:
    """Returns a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
