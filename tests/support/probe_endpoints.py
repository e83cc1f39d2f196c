"""Probe servers and clients on loopback."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from support.waiting import until
from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.nat.io.echo_client import echo
from wgmesh.nat.io.probe_client import STEP_TIMEOUT_S, Echo, ProbeClient
from wgmesh.nat.io.probe_server import FIRST_PING_S, IDLE_TIMEOUT_S, PLACES_MAX, ProbeServer
from wgmesh.nat.tunnel_probe import ProbeSchedule, ProbeTarget

OWN = ipaddress.ip_address("127.0.0.1")
SERVER = ipaddress.ip_address("127.7.0.1")
MOVED = ipaddress.ip_address("127.7.0.2")
SERVER_IPV6 = ipaddress.ip_address("::1")
KEY = PublicKey(bytes(32))


@asynccontextmanager
async def serving(
    addresses: set[IPAddress],
    port: int = 0,
    *,
    idle_timeout_s: float = IDLE_TIMEOUT_S,
    first_ping_s: float = FIRST_PING_S,
    places_max: int = PLACES_MAX,
) -> AsyncIterator[tuple[ProbeServer, int]]:
    """Serves on the loopback interface; yields the server and its port."""
    port = port or free_port()
    server = ProbeServer("lo", port, idle_timeout_s=idle_timeout_s, first_ping_s=first_ping_s, places_max=places_max)
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
    schedule: ProbeSchedule | None = None,
    echo: Echo = echo,
    step_timeout_s: float = STEP_TIMEOUT_S,
) -> AsyncIterator[ProbeClient]:
    """Runs a client while the body runs."""
    client = ProbeClient(
        interface,
        port,
        on_asked=on_asked,
        on_answered=on_answered,
        on_unanswered=on_unanswered,
        schedule=schedule,
        echo=echo,
        step_timeout_s=step_timeout_s,
    )
    task = asyncio.ensure_future(client.run())
    try:
        yield client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def free_port() -> int:
    """Returns a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
