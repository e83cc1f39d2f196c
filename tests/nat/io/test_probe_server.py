from __future__ import annotations

import asyncio
import ipaddress

import pytest
from support.probe_endpoints import MOVED, OWN, SERVER, SERVER_IPV6, free_port, serving, until
from wgmesh.nat.io import probe_server
from wgmesh.nat.io.probe_client import ping
from wgmesh.nat.io.probe_server import ProbeServer


async def test_a_ping_is_answered_within_the_tunnel_interface() -> None:
    async with serving({SERVER}) as (_, port):
        rtt_s = await ping(OWN, SERVER, port, "lo")

    assert 0 < rtt_s < 1


async def test_ipv6_is_served_beside_ipv4() -> None:
    async with serving({SERVER, SERVER_IPV6}) as (_, port):
        await ping(OWN, SERVER, port, "lo")
        await ping(SERVER_IPV6, SERVER_IPV6, port, "lo")


async def test_no_other_address_is_listened_on() -> None:
    async with serving({SERVER}) as (_, port):
        with pytest.raises(ConnectionRefusedError):
            await ping(OWN, MOVED, port, "lo")


async def test_the_server_follows_its_address() -> None:
    async with serving({SERVER}) as (server, port):
        server.set_addresses({MOVED})
        await until(lambda: server.addresses == {MOVED})

        await ping(OWN, MOVED, port, "lo")
        with pytest.raises(ConnectionRefusedError):
            await ping(OWN, SERVER, port, "lo")


async def test_an_address_that_does_not_exist_yet_can_be_listened_on() -> None:
    later = ipaddress.ip_address("10.255.77.1")

    async with serving({later}) as (server, _):
        assert server.addresses == {later}


async def test_without_the_interface_the_server_waits_and_nothing_listens() -> None:
    server = ProbeServer("wgmesh-none0", free_port())
    task = asyncio.ensure_future(server.run())
    server.set_addresses({SERVER})
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert server.addresses == frozenset()
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_connection_may_carry_many_pings_and_unknown_lines() -> None:
    async with serving({SERVER}) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)
        writer.write(b"ping\nhello\n ping\r\n")

        assert await asyncio.wait_for(reader.readexactly(10), 2) == b"pong\npong\n"
        writer.close()


async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_server, "IDLE_TIMEOUT_S", 0.05)
    async with serving({SERVER}) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)

        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()


async def test_an_endless_line_closes_the_connection() -> None:
    async with serving({SERVER}) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)
        writer.write(b"x" * 5000)

        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 2)
            raise ConnectionResetError  # a clean end is as good
        writer.close()


async def test_more_connections_than_the_limit_are_refused_and_the_old_ones_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_server, "CONNECTIONS_MAX", 2)
    async with serving({SERVER}) as (_, port):
        kept = [await asyncio.open_connection(str(SERVER), port) for _ in range(2)]
        for reader, writer in kept:
            writer.write(b"ping\n")
            await asyncio.wait_for(reader.readline(), 2)

        with pytest.raises((OSError, TimeoutError)):
            await ping(OWN, SERVER, port, "lo")
        kept[0][1].write(b"ping\n")
        assert await asyncio.wait_for(kept[0][0].readline(), 2) == b"pong\n"
        for _, writer in kept:
            writer.close()


async def test_stopping_the_server_ends_its_connections() -> None:
    async with serving({SERVER}) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)
        writer.write(b"ping\n")
        await asyncio.wait_for(reader.readline(), 2)

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 2)
        raise ConnectionResetError  # a clean end is as good
    writer.close()
