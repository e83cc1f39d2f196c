from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from typing import TypeAlias

import pytest
from support.probe_endpoints import MOVED, OWN, SERVER, SERVER_IPV6, free_port, serving
from support.waiting import PATIENCE_S, until
from wgmesh.core.model import IPAddress
from wgmesh.nat.io.probe_client import ping
from wgmesh.nat.io.probe_server import PLACES_OF_SOURCE_MAX, ProbeServer
from wgmesh.nat.ping_lines import PINGS_AT_ONCE

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

GO_NODE = ipaddress.ip_address("127.0.0.99")


async def test_a_ping_is_answered_within_the_tunnel_interface() -> None:
    async with serving({SERVER}) as (_, port):
        rtt_s = await ping(OWN, SERVER, port, "lo")

    assert rtt_s > 0


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
    async with serving({SERVER}):  # began later, and listens
        assert server.addresses == frozenset()
        assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_connection_may_carry_many_pings_and_unknown_lines() -> None:
    async with serving({SERVER}) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)
        writer.write(b"ping\nhello\n ping\r\n")

        assert await asyncio.wait_for(reader.readexactly(10), PATIENCE_S) == b"pong\npong\n"
        writer.close()


async def test_an_idle_connection_is_closed() -> None:
    async with serving({SERVER}, idle_timeout_s=0.05) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)

        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()


async def test_an_endless_line_closes_the_connection() -> None:
    async with serving({SERVER}) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)
        writer.write(b"x" * 5000)

        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), PATIENCE_S)
            raise ConnectionResetError  # a clean end is as good
        writer.close()


async def test_a_connection_that_says_nothing_is_closed_long_before_one_that_pinged() -> None:
    async with serving({SERVER}, first_ping_s=0.05) as (_, port):
        silent, talking = [await asyncio.open_connection(str(SERVER), port) for _ in range(2)]
        talking[1].write(b"ping\n")

        assert await asyncio.wait_for(silent[0].read(), PATIENCE_S) == b""
        assert await asyncio.wait_for(talking[0].readline(), PATIENCE_S) == b"pong\n"
        assert await answers(talking)
        for _, writer in (silent, talking):
            writer.close()


async def test_only_pings_keep_a_connection() -> None:
    async with serving({SERVER}, first_ping_s=0.3) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)
        writing = asyncio.ensure_future(keep_saying(writer, b"hello\n"))

        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        writer.close()


async def test_a_source_that_holds_all_places_loses_one_to_every_newcomer() -> None:
    """One member held all places by connections that ping; a Go node is answered nonetheless."""
    async with serving({SERVER}, places_max=PLACES_OF_SOURCE_MAX) as (server, port):
        server.set_peers({OWN, GO_NODE})
        held = [await pinging(port, OWN) for _ in range(PLACES_OF_SOURCE_MAX)]

        assert await answers(held[0])

        go_node = await pinging(port, GO_NODE)

        assert not await answers(held[1])  # the one that pinged longest ago
        assert [await answers(each) for each in (held[0], *held[2:], go_node)] == [True] * PLACES_OF_SOURCE_MAX
        for _, writer in (*held, go_node):
            writer.close()


async def test_a_source_with_too_many_connections_crowds_out_itself_alone() -> None:
    async with serving({SERVER}) as (server, port):
        server.set_peers({OWN, GO_NODE})
        go_node = await pinging(port, GO_NODE)
        held = [await pinging(port, OWN) for _ in range(PLACES_OF_SOURCE_MAX + 10)]

        assert [await answers(each) for each in held] == [False] * 10 + [True] * PLACES_OF_SOURCE_MAX
        assert await answers(go_node)
        for _, writer in (*held, go_node):
            writer.close()


async def test_all_addresses_that_are_no_peers_are_one_source() -> None:
    """A member that advertises 192.168.0.0/16 may speak from 65,536 addresses."""
    async with serving({SERVER}) as (server, port):
        server.set_peers({GO_NODE})
        held = [await pinging(port, OWN + number) for number in range(1, PLACES_OF_SOURCE_MAX + 6)]

        assert [await answers(each) for each in held] == [False] * 5 + [True] * PLACES_OF_SOURCE_MAX
        for _, writer in held:
            writer.close()


async def test_a_flood_on_one_connection_ends_it_and_nothing_is_answered_beyond_the_limit() -> None:
    async with serving({SERVER}) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)
        writer.write(b"ping\n" * 100_000)

        answered = 0
        with contextlib.suppress(ConnectionResetError):
            while line := await asyncio.wait_for(reader.readline(), PATIENCE_S):
                answered += line == b"pong\n"
        assert answered <= PINGS_AT_ONCE
        writer.close()


async def pinging(port: int, source: IPAddress) -> Connection:
    """Connects from that address, and has been answered once."""
    connection = await asyncio.open_connection(str(SERVER), port, local_addr=(str(source), 0))
    assert await answers(connection)
    return connection


async def answers(connection: Connection) -> bool:
    """Whether the server still answers on it."""
    reader, writer = connection
    try:
        writer.write(b"ping\n")
        return await asyncio.wait_for(reader.readline(), PATIENCE_S) == b"pong\n"
    except ConnectionError:
        return False


async def keep_saying(writer: asyncio.StreamWriter, line: bytes) -> None:
    while True:
        writer.write(line)
        await asyncio.sleep(0.1)  # slower than the limit of lines


async def test_stopping_the_server_ends_its_connections() -> None:
    async with serving({SERVER}) as (_, port):
        reader, writer = await asyncio.open_connection(str(SERVER), port)
        writer.write(b"ping\n")
        await asyncio.wait_for(reader.readline(), PATIENCE_S)

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), PATIENCE_S)
        raise ConnectionResetError  # a clean end is as good
    writer.close()
