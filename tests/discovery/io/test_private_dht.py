"""Eight nodes of the private DHT on loopback, with real sockets and real time."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from wgmesh.core.datagram_seal import NONCE_BYTES, seal
from wgmesh.core.errors import NotReady
from wgmesh.core.model import Endpoint
from wgmesh.discovery.io.private_dht import PrivateDht

KEY = bytes(range(32))
NAME = bytes(range(20))
OTHER_NAME = bytes(range(20, 40))
LOOPBACK = ipaddress.IPv4Address("127.0.0.1")


def newer(key: bytes, old: bytes | None, new: bytes) -> bool:
    return old is None or new > old


def endpoint_of(node: PrivateDht) -> Endpoint:
    return Endpoint(LOOPBACK, node.port)


@asynccontextmanager
async def closing() -> AsyncIterator[list[PrivateDht]]:
    nodes: list[PrivateDht] = []
    try:
        yield nodes
    finally:
        for node in nodes:
            node.close()


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def mesh(count: int = 8) -> AsyncIterator[list[PrivateDht]]:
    """Nodes that start at once, enter through the first, and have met."""
    async with closing() as nodes:
        for _ in range(count):
            nodes.append(node := PrivateDht(KEY, newer))
            await node.start(0, [endpoint_of(nodes[0])] if nodes[0].port else [])
        await until(lambda: all(node.node_count == count - 1 for node in nodes))
        yield nodes


async def test_what_one_puts_all_others_get() -> None:
    async with mesh() as nodes:
        assert await nodes[2].put(NAME, b"1") == 7
        assert await nodes[5].put(NAME, b"2") == 7

        assert [await node.get(NAME) for node in nodes] == [[b"2"]] * 8
        assert await nodes[0].get(OTHER_NAME) == []


async def test_after_half_of_the_nodes_died_at_once_values_are_found_and_new_ones_stored() -> None:
    async with mesh() as nodes:
        assert await nodes[2].put(NAME, b"1") == 7
        for node in nodes[:4]:
            node.close()

        asked_at = time.monotonic()
        assert await asyncio.gather(*(node.get(NAME) for node in nodes[4:])) == [[b"1"]] * 4
        assert time.monotonic() - asked_at < 3.0
        assert await nodes[4].put(OTHER_NAME, b"new") == 3
        assert await nodes[7].get(OTHER_NAME) == [b"new"]


async def test_two_nodes_restart_from_their_saved_states_although_all_bootstrap_nodes_are_dead() -> None:
    async with mesh() as nodes:
        assert await nodes[3].put(NAME, b"1") == 7
        bootstrap = [endpoint_of(node) for node in nodes[:2]]
        states = [node.state() for node in nodes[6:]]
        for node in (*nodes[:2], *nodes[6:]):
            node.close()
        del nodes[6:]
        for state in states:
            nodes.append(again := PrivateDht(KEY, newer))
            again.restore(state)
            await again.start(0, bootstrap)

        await until(lambda: all(node.node_count >= 4 for node in nodes[6:]))
        assert [await node.get(NAME) for node in nodes[6:]] == [[b"1"]] * 2
        assert await nodes[6].put(OTHER_NAME, b"new") >= 4


async def test_a_stranger_without_the_key_gets_nothing_and_stores_nothing() -> None:
    async with mesh(3) as nodes:
        await nodes[1].put(NAME, b"1")
        nodes.append(stranger := PrivateDht(bytes(32), newer))
        await stranger.start(0, [endpoint_of(nodes[0])])

        assert await stranger.put(OTHER_NAME, b"forged") == 0
        assert await stranger.get(NAME) == []
        assert await nodes[0].get(OTHER_NAME) == []
        assert stranger.node_count == 0
        assert nodes[0].rejected_count > 0 and nodes[0].node_count == 2


async def test_garbage_is_dropped_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async with mesh(2) as nodes:
        before = nodes[0].rejected_count
        own = seal(b"\x04", KEY, bytes(NONCE_BYTES), time.time())
        texts = [b"", b"x", b"\xd1", b"\xd1" + bytes(60), b"d1:q4:pinge", bytes(1500), own, own]
        with caplog.at_level(logging.INFO), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for text in texts:
                sender.sendto(text, (str(LOOPBACK), nodes[0].port))
            await until(lambda: nodes[0].rejected_count == before + len(texts))

        assert caplog.records == []
        assert await nodes[1].put(NAME, b"1") == 1


async def test_oversized_and_empty_values_and_odd_keys_are_stored_nowhere() -> None:
    async with mesh(2) as nodes:
        assert await nodes[0].put(NAME, bytes(900)) == 1
        assert await nodes[0].put(OTHER_NAME, bytes(901)) == 0
        assert await nodes[0].put(OTHER_NAME, b"") == 0
        assert await nodes[0].put(b"short", b"1") == 0
        assert await nodes[1].get(OTHER_NAME) == []


async def test_ipv6_is_as_good() -> None:
    if not _has_ipv6():
        pytest.skip("this host has no ::1")
    async with closing() as nodes:
        nodes += [PrivateDht(KEY, newer), PrivateDht(KEY, newer)]
        await nodes[0].start(0, [])
        await nodes[1].start(0, [Endpoint(ipaddress.IPv6Address("::1"), nodes[0].port)])
        await until(lambda: all(node.node_count == 1 for node in nodes))

        assert await nodes[0].put(NAME, b"1") == 1


async def test_where_the_port_is_taken_another_one_is_used() -> None:
    async with closing() as nodes:
        nodes += [PrivateDht(KEY, newer), PrivateDht(KEY, newer)]
        await nodes[0].start(0, [])
        await nodes[1].start(nodes[0].port, [])
        assert nodes[1].port not in (0, nodes[0].port)
        nodes[1].add_nodes([endpoint_of(nodes[0])])
        await until(lambda: nodes[0].node_count == 1)


async def test_whoever_waits_when_it_is_closed_is_told() -> None:
    async with mesh(2) as nodes:
        nodes[0].close()
        waiting = asyncio.ensure_future(nodes[1].get(NAME))
        await asyncio.sleep(0)
        nodes[1].close()
        nodes[1].close()

        with pytest.raises(NotReady, match="closed"):
            await waiting
        with pytest.raises(NotReady, match="not running"):
            await nodes[1].put(NAME, b"1")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
