from __future__ import annotations

import threading

import pytest
from wgmesh.core.errors import InvalidSetting, NotReady
from wgmesh.core.model import Endpoint
from wgmesh.nat.io import resolver
from wgmesh.nat.io.resolver import Resolver, parse_server


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stun.example.org:19302", ("stun.example.org", 19302)),
        ("stun.example.org", ("stun.example.org", 3478)),
        ("192.0.2.1", ("192.0.2.1", 3478)),
        ("2001:db8::1", ("2001:db8::1", 3478)),
        ("[2001:db8::1]", ("2001:db8::1", 3478)),
        ("[2001:db8::1]:5000", ("2001:db8::1", 5000)),
    ],
)
def test_a_server_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_server(text) == expected


@pytest.mark.parametrize("text", ["stun.example.org:", "stun.example.org:0", "stun.example.org:65536", ":3478", "a:b"])
def test_a_bad_port_or_a_missing_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting):
        parse_server(text)


async def test_a_literal_needs_no_thread() -> None:
    def never(host: str, port: int) -> list[Endpoint]:
        raise AssertionError("asked for a literal")

    assert await Resolver(never).resolve("192.0.2.1", 3478) == [Endpoint.parse("192.0.2.1:3478")]


async def test_a_name_that_does_not_resolve_is_not_ready() -> None:
    def fails(host: str, port: int) -> list[Endpoint]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(NotReady, match="Name or service not known"):
        await Resolver(fails).resolve("stun.example.org", 3478)


async def test_a_name_server_that_hangs_costs_one_thread_and_a_bounded_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "RESOLVE_TIMEOUT_S", 0.01)
    release = threading.Event()
    calls: list[str] = []

    def hangs(host: str, port: int) -> list[Endpoint]:
        calls.append(host)
        release.wait(10)
        return [Endpoint.parse("192.0.2.1:3478")]

    names = Resolver(hangs)
    for _ in range(3):
        with pytest.raises(NotReady):
            await names.resolve("stun.example.org", 3478)
    monkeypatch.setattr(resolver, "RESOLVE_TIMEOUT_S", 10.0)
    release.set()

    assert await names.resolve("stun.example.org", 3478) == [Endpoint.parse("192.0.2.1:3478")]
    assert calls == ["stun.example.org"]


async def test_an_impossible_name_is_not_ready_rather_than_a_crash() -> None:
    with pytest.raises(NotReady):
        await Resolver().resolve("a" * 300, 3478)
