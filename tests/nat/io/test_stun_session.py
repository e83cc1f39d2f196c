from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from support.doubles.stun_responder import honest, responding
from support.waiting import PATIENCE_S, turn_of_the_loop, until
from wgmesh.core.model import Endpoint, Mapping, NatReport
from wgmesh.core.stun import codec as stun
from wgmesh.nat.io.stun_session import StunSession
from wgmesh.runtime.resolver import Lookup, Resolver

PORT = 51898


async def test_a_name_server_that_hangs_delays_no_other_server() -> None:
    release = threading.Event()

    def hangs(host: str, port: int) -> list[Endpoint]:
        release.wait(10)
        return []

    async with (
        responding([("127.0.0.1", 0)]) as (server,),
        session([f"stun.example.org:{server.port}", str(server)], hangs) as reports,
    ):
        report = await reports.first(lambda report: report.external_endpoint is not None)
    release.set()

    assert report.external_endpoint is not None
    assert str(report.external_endpoint.host) == "127.0.0.1"


async def test_a_name_that_does_not_resolve_is_named_in_the_report() -> None:
    def fails(host: str, port: int) -> list[Endpoint]:
        raise OSError(-2, "Name or service not known")

    async with session(["stun.example.org:3478"], fails) as reports:
        report = await reports.first(lambda report: bool(report.detail))

    assert report.enabled
    assert report.detail == "STUN: stun.example.org:3478 has no address."


async def test_a_server_that_is_no_server_is_named_and_harms_no_other() -> None:
    async with (
        responding([("127.0.0.1", 0)]) as (server,),
        session(["stun.example.org:port", str(server)]) as reports,
    ):
        report = await reports.first(lambda report: report.external_endpoint is not None and bool(report.detail))

    assert "stun.example.org:port" in report.detail


async def test_two_names_at_one_address_become_two_servers_when_the_name_has_another() -> None:
    asked: list[str] = []

    def answer_for(host: str) -> Callable[[stun.Message, Endpoint], bytes | None]:
        def answer(request: stun.Message, source: Endpoint) -> bytes | None:
            asked.append(host)
            return honest(request, source)

        return answer

    async with (
        responding([("127.0.0.1", 0)], answer_for("first")) as (first,),
        responding([("127.9.0.1", first.port)], answer_for("second")) as (second,),
        session(["a.example.org", "b.example.org"], lambda host, port: [first, second]) as reports,
    ):
        await reports.first(lambda report: sorted(asked) == ["first", "second"])


async def test_each_server_is_asked_once_when_the_port_becomes_known() -> None:
    asked: list[Endpoint] = []

    def answer(request: stun.Message, source: Endpoint) -> bytes | None:
        asked.append(source)
        return honest(request, source)

    async with (
        responding([("127.0.0.1", 0), ("127.9.0.1", 0)], answer) as servers,
        session([str(server) for server in servers]) as reports,
    ):
        await reports.first(lambda report: report.mapping is Mapping.NONE and len(asked) >= 2)
        reports.session.use_port(PORT + 1)
        await until(lambda: len([source for source in asked if source.port == PORT + 1]) == 2)

    assert len([source for source in asked if source.port == PORT]) == 2


async def test_another_port_is_asked_about_at_once() -> None:
    async with responding([("127.0.0.1", 0)]) as (server,), session([str(server)]) as reports:
        await reports.first(lambda report: report.external_endpoint == Endpoint.of("127.0.0.1", PORT))

        reports.session.use_port(PORT + 1)

        await reports.first(lambda report: report.external_endpoint == Endpoint.of("127.0.0.1", PORT + 1))


class Reports:
    """The reports of one session, awaited by what they say."""

    def __init__(self, servers: list[str], look_up: Lookup) -> None:
        self.session = StunSession(servers, self._publish, ipv6=False, resolver=Resolver(look_up))
        self._latest = NatReport()
        self._changed = asyncio.Event()

    async def first(self, is_wanted: Callable[[NatReport], bool]) -> NatReport:
        async with asyncio.timeout(PATIENCE_S):
            while not is_wanted(self._latest):
                self._changed.clear()
                await self._changed.wait()
        return self._latest

    def _publish(self, report: NatReport) -> None:
        self._latest = report
        self._changed.set()


def never(host: str, port: int) -> list[Endpoint]:
    raise AssertionError(f"{host} was looked up")


@asynccontextmanager
async def session(servers: list[str], look_up: Lookup = never) -> AsyncIterator[Reports]:
    reports = Reports(servers, look_up)
    task = asyncio.ensure_future(reports.session.run())
    await reports.first(lambda report: report.enabled)
    await turn_of_the_loop()  # literals are resolved before the port is known, as in a node that starts
    reports.session.use_port(PORT)
    try:
        yield reports
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
