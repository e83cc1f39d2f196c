"""The scrape server on a real loopback socket, against clients that behave badly."""

from __future__ import annotations

import asyncio

import pytest
from support.waiting import PATIENCE_S
from wgmesh.core.errors import InvalidSetting
from wgmesh.metrics.io.http import (
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_OF_SOURCE,
    MAX_REQUEST_BYTES,
    PAGES_AT_ONCE,
    serve_http,
    source_of,
)
from wgmesh.metrics.page import Reply
from wgmesh.metrics.settings import ListenAddress

GET = b"GET / HTTP/1.1\r\n\r\n"
LOOPBACK = ListenAddress("127.0.0.1", 0)


async def answer(path: str) -> Reply:
    return Reply(200, f"you asked for {path}\n".encode())


async def ask(address: ListenAddress, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(request)
    async with asyncio.timeout(PATIENCE_S):
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


async def test_a_client_that_says_nothing_is_cut_off() -> None:
    async with serve_http(LOOPBACK, answer, request_timeout_s=0.05) as address:
        assert await ask(address, b"GET / HT") == b""


async def test_a_client_that_goes_away_does_not_disturb_the_next() -> None:
    async with serve_http(LOOPBACK, answer) as address:
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"GET /")
        writer.transport.abort()

        assert b"200 OK" in await ask(address, b"GET / HTTP/1.1\r\n\r\n")


async def test_a_source_that_holds_many_connections_loses_its_own_and_nobody_elses() -> None:
    async with serve_http(LOOPBACK, answer) as address:
        scraper = await asyncio.open_connection(address.host, address.port, local_addr=("127.0.0.9", 0))
        idle = [await asyncio.open_connection(address.host, address.port) for _ in range(MAX_CONNECTIONS_OF_SOURCE + 1)]

        assert await asyncio.wait_for(idle[0][0].read(), PATIENCE_S) == b""
        scraper[1].write(GET)
        assert b"200 OK" in await asyncio.wait_for(scraper[0].read(), PATIENCE_S)
        idle[-1][1].write(GET)
        assert b"200 OK" in await asyncio.wait_for(idle[-1][0].read(), PATIENCE_S)
        for _, writer in (scraper, *idle):
            writer.close()


@pytest.mark.attack("somebody without the secret", "keep a scraper from the metrics page by holding all connections")
async def test_a_page_is_there_for_a_scraper_while_others_hold_all_connections() -> None:
    async with serve_http(LOOPBACK, answer) as address:
        idle = [
            await asyncio.open_connection(address.host, address.port, local_addr=(f"127.0.0.{10 + number % 4}", 0))
            for number in range(MAX_CONNECTIONS)
        ]

        assert b"200 OK" in await ask(address, GET)
        for _, writer in idle:
            writer.close()


async def test_a_client_that_asks_and_does_not_read_makes_room_too() -> None:
    async def large(path: str) -> Reply:
        return Reply(200, bytes(20_000_000))

    async with serve_http(LOOPBACK, large) as address:
        stuck = [await asyncio.open_connection(address.host, address.port) for _ in range(MAX_CONNECTIONS_OF_SOURCE)]
        for _, writer in stuck:
            writer.write(GET)

        assert b"200 OK" in await ask(address, GET)
        for _, writer in stuck:
            writer.transport.abort()


async def test_who_asks_without_pause_is_told_to_ask_less_often_and_others_are_answered() -> None:
    made: list[str] = []

    async def page(path: str) -> Reply:
        made.append(path)
        return Reply(200, b"page")

    async with serve_http(LOOPBACK, page) as address:
        answers = [await ask(address, GET) for _ in range(int(3 * PAGES_AT_ONCE))]

        assert any(b"429 Too Many Requests" in each for each in answers)
        assert len(made) == sum(b"200 OK" in each for each in answers)
        reader, writer = await asyncio.open_connection(address.host, address.port, local_addr=("127.0.0.9", 0))
        writer.write(GET)
        assert b"200 OK" in await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()


def test_a_subnet_of_ipv6_is_one_client() -> None:
    assert source_of("fe80::1%eth0") == source_of("fe80::2%eth0")
    assert source_of("2001:db8::1") != source_of("2001:db8:0:1::1")
    assert source_of("192.0.2.1") != source_of("192.0.2.2")


async def test_stopping_does_not_wait_for_open_connections() -> None:
    async with asyncio.timeout(PATIENCE_S), serve_http(LOOPBACK, answer, 10 * PATIENCE_S) as address:
        await asyncio.open_connection(address.host, address.port)


async def test_a_taken_port_names_the_flag() -> None:
    async with serve_http(LOOPBACK, answer) as address:
        with pytest.raises(InvalidSetting, match=r"^--metrics: cannot listen on 127\.0\.0\.1:\d+ \("):
            async with serve_http(address, answer):
                pass


async def test_a_host_that_is_not_ours_names_the_flag() -> None:
    with pytest.raises(InvalidSetting, match=r"^--metrics: cannot listen on 192\.0\.2\.1:9 "):
        async with serve_http(ListenAddress("192.0.2.1", 9), answer):
            pass
