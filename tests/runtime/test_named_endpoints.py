"""Static peers and their names; no name server is asked."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable

import pytest
from wgmesh.core.errors import InvalidSetting
from wgmesh.core.model import Endpoint
from wgmesh.runtime.named_endpoints import NamedEndpoints, parse_named_endpoint
from wgmesh.runtime.resolver import Resolver


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node.example.org:51821", ("node.example.org", 51821)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
    ],
)
def test_a_static_peer_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_named_endpoint(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:0", "host:65536", "host:x", "2001:db8::1:5", "[]:1"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidSetting, match="HOST:PORT"):
        parse_named_endpoint(text)


async def test_literals_are_there_at_once_and_a_dead_name_server_delays_nothing() -> None:
    hang = threading.Event()

    def look_up(host: str, port: int) -> list[Endpoint]:
        if host == "dead.example.org":
            hang.wait(30.0)
        return [Endpoint.parse("198.51.100.2:2")]

    peers = [("192.0.2.1", 1), ("dead.example.org", 2), ("live.example.org", 2)]
    found = await first_with(2, peers, look_up)
    hang.set()
    assert found == [Endpoint.parse("192.0.2.1:1"), Endpoint.parse("198.51.100.2:2")]


async def test_a_name_that_fails_is_reported_with_the_reason() -> None:
    def look_up(host: str, port: int) -> list[Endpoint]:
        raise OSError(-2, "Name or service not known")

    reported = asyncio.Event()
    static = NamedEndpoints(
        [("nowhere.example.org", 1)], lambda _: reported.set() if static.failures else None, Resolver(look_up)
    )
    running = asyncio.ensure_future(static.run())
    async with asyncio.timeout(5.0):
        await reported.wait()
    running.cancel()
    assert static.failures == {
        "nowhere.example.org": "nowhere.example.org could not be resolved: Name or service not known."
    }


async def first_with(
    count: int, peers: list[tuple[str, int]], look_up: Callable[[str, int], list[Endpoint]]
) -> list[Endpoint]:
    """The first report of that many addresses."""
    reported: asyncio.Future[list[Endpoint]] = asyncio.get_running_loop().create_future()

    def report(addresses: list[Endpoint]) -> None:
        if len(addresses) == count and not reported.done():
            reported.set_result(addresses)

    running = asyncio.ensure_future(NamedEndpoints(peers, report, Resolver(look_up)).run())
    try:
        async with asyncio.timeout(5.0):
            return await reported
    finally:
        running.cancel()


@pytest.mark.parametrize(("is_silent", "gaps_s"), [(True, [30.0] * 3), (False, [300.0] * 3)])
async def test_a_name_where_nobody_answers_is_looked_up_again_after_30_s_and_others_after_five_minutes(
    is_silent: bool, gaps_s: list[float]
) -> None:
    now = 0.0
    asked_at: list[float] = []
    done = asyncio.Event()

    def look_up(host: str, port: int) -> list[Endpoint]:
        asked_at.append(now)
        return [Endpoint.parse("198.51.100.2:2")]

    async def sleep(span_s: float) -> None:
        nonlocal now
        now += span_s
        if len(asked_at) > len(gaps_s):
            done.set()
            await asyncio.Event().wait()

    names = NamedEndpoints(
        [("moving.example.org", 2)], lambda _: None, Resolver(look_up), are_silent=lambda _: is_silent, sleep=sleep
    )
    running = asyncio.ensure_future(names.run())
    await asyncio.wait_for(done.wait(), 30.0)
    running.cancel()

    assert [after - before for before, after in itertools.pairwise(asked_at)] == gaps_s
