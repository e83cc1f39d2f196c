"""The scrape server on a real loopback socket, against clients that behave badly."""

from __future__ import annotations

import asyncio

import pytest
from wgmesh.core.errors import InvalidSetting
from wgmesh.metrics.io import http
from wgmesh.metrics.io.http import MAX_CONNECTIONS, MAX_REQUEST_BYTES, serve_http
from wgmesh.metrics.page import Reply
from wgmesh.metrics.settings import ListenAddress

LOOPBACK = ListenAddress("127.0.0.1", 0)


def answer(path: str) -> Reply:
    return Reply(200, f"you asked for {path}\n".encode())


async def ask(address: ListenAddress, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(request)
    async with asyncio.timeout(10):
        response = await reader.read()
    writer.close()
    return response


async def test_a_get_is_answered_with_its_length_and_the_connection_closed() -> None:
    async with serve_http(LOOPBACK, answer) as address:
        response = await ask(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")

    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Connection: close" in head
    assert body == b"you asked for /metrics\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"HEAD / HTTP/1.0\r\n\r\n", b"405"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"GET / HTTP/2.0\r\n\r\n", b"400"),
        (b"\x16\x03\x01 tls hello\r\n\r\n", b"400"),
        (b"GET /" + b"a" * MAX_REQUEST_BYTES + b" HTTP/1.1\r\n\r\n", b"431"),
    ],
)
async def test_what_is_not_a_small_get_is_refused_with_a_reason(request_bytes: bytes, status: bytes) -> None:
    async with serve_http(LOOPBACK, answer) as address:
        response = await ask(address, request_bytes)

    assert response.startswith(b"HTTP/1.1 " + status)
    assert (b"Allow: GET" in response) == (status == b"405")


async def test_a_client_that_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_TIMEOUT_S", 0.05)
    async with serve_http(LOOPBACK, answer) as address:
        assert await ask(address, b"GET / HT") == b""


async def test_a_client_that_goes_away_does_not_disturb_the_next() -> None:
    async with serve_http(LOOPBACK, answer) as address:
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"GET /")
        writer.transport.abort()

        assert b"200 OK" in await ask(address, b"GET / HTTP/1.1\r\n\r\n")


async def test_connections_beyond_the_bound_are_closed_at_once() -> None:
    async with serve_http(LOOPBACK, answer) as address:
        idle = [await asyncio.open_connection(address.host, address.port) for _ in range(MAX_CONNECTIONS)]
        await ask_until_refused(address)

        idle[0][1].write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"200 OK" in await idle[0][0].read()
        for _, writer in idle:
            writer.close()


async def ask_until_refused(address: ListenAddress) -> None:
    try:
        assert await ask(address, b"GET / HTTP/1.1\r\n\r\n") == b""
    except ConnectionError:
        return


async def test_stopping_does_not_wait_for_open_connections() -> None:
    loop = asyncio.get_running_loop()
    async with serve_http(LOOPBACK, answer) as address:
        await asyncio.open_connection(address.host, address.port)
        asked = loop.time()

    assert loop.time() - asked < 2.0


async def test_a_taken_port_names_the_flag() -> None:
    async with serve_http(LOOPBACK, answer) as address:
        with pytest.raises(InvalidSetting, match=r"^--metrics: cannot listen on 127\.0\.0\.1:\d+ \("):
            async with serve_http(address, answer):
                pass


async def test_a_host_that_is_not_ours_names_the_flag() -> None:
    with pytest.raises(InvalidSetting, match=r"^--metrics: cannot listen on 192\.0\.2\.1:9 "):
        async with serve_http(ListenAddress("192.0.2.1", 9), answer):
            pass
