"""Names to addresses; no name server is asked."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support.waiting import until
from wgmesh.core.errors import NotReady
from wgmesh.core.model import Endpoint
from wgmesh.runtime.resolver import LOOK_UPS_MAX, Resolver


async def test_a_literal_needs_no_thread() -> None:
    def never(host: str, port: int) -> list[Endpoint]:
        raise AssertionError("asked for a literal")

    assert await Resolver(never).resolve("192.0.2.1", 3478) == [Endpoint.parse("192.0.2.1:3478")]


async def test_a_name_that_does_not_resolve_is_not_ready() -> None:
    def fails(host: str, port: int) -> list[Endpoint]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(NotReady, match="Name or service not known"):
        await Resolver(fails).resolve("stun.example.org", 3478)


async def test_a_name_server_that_hangs_costs_one_thread_and_a_bounded_wait() -> None:
    release = threading.Event()
    calls: list[str] = []

    def hangs(host: str, port: int) -> list[Endpoint]:
        calls.append(host)
        release.wait(10)
        return [Endpoint.parse("192.0.2.1:3478")]

    names = Resolver(hangs, timeout_s=0.01)
    for _ in range(3):
        with pytest.raises(NotReady, match="within"):
            await names.resolve("stun.example.org", 3478)
    assert calls == ["stun.example.org"]
    release.set()


async def test_a_second_question_for_a_name_waits_for_the_first_look_up() -> None:
    release = threading.Event()
    calls: list[str] = []

    def waits(host: str, port: int) -> list[Endpoint]:
        calls.append(host)
        release.wait(10)
        return [Endpoint.parse("192.0.2.1:3478")]

    names = Resolver(waits)
    first, second = (asyncio.ensure_future(names.resolve("stun.example.org", 3478)) for _ in range(2))
    await until(lambda: bool(calls))
    first.cancel()
    await asyncio.wait({first})
    release.set()
    assert await second == [Endpoint.parse("192.0.2.1:3478")]
    assert first.cancelled() and calls == ["stun.example.org"]
    assert await names.resolve("stun.example.org", 3478)
    assert len(calls) == 2  # what is done is not remembered: addresses change


async def test_names_beyond_the_bound_wait_for_their_next_try() -> None:
    release = threading.Event()

    def hangs(host: str, port: int) -> list[Endpoint]:
        release.wait(10)
        return []

    names = Resolver(hangs, timeout_s=0.2)
    asked = [asyncio.ensure_future(names.resolve(f"{number}.example.org", 1)) for number in range(LOOK_UPS_MAX + 1)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    release.set()
    assert all(isinstance(answer, NotReady) for answer in answers)
    assert ["has to wait" in str(answer) for answer in answers] == [False] * LOOK_UPS_MAX + [True]


async def test_an_impossible_name_is_not_ready_rather_than_a_crash() -> None:
    with pytest.raises(NotReady):
        await Resolver().resolve("a" * 300, 3478)
