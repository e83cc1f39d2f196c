"""The real session of the Mainline DHT, on loopback: all bootstrap addresses are this machine's own."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import libtorrent
import pytest
from nacl.signing import SigningKey
from support.discovery.mainline_ears import Ears, names
from support.discovery.mainline_stranger import Stranger
from support.promises import promised
from support.waiting import turn_of_the_loop, until
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.discovery.dht import ItemFound, ItemMissing, ItemStored, PeersFound, Trouble
from wgmesh.discovery.mainline.io.session import MainlineSession, expanded_key
from wgmesh.discovery.mainline.known_nodes import VALUE_BYTES_MAX, MainlineSettings

INFOHASH = bytes(range(20))
SEED = bytes(range(32))
PUBLIC_KEY = bytes(SigningKey(SEED).verify_key)
SALT = b"sa\x00\xfft"
FIRST, SECOND, THIRD, SIXTH = (ipaddress.ip_address(text) for text in ("127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"))

NO_LIBTORRENT = """
import asyncio, ipaddress, sys
sys.modules["libtorrent"] = None
from wgmesh.discovery.mainline.io.session import MainlineSession
from wgmesh.discovery.mainline.known_nodes import MainlineSettings
async def main():
    events = []
    session = MainlineSession(MainlineSettings(port=1), events.append)
    session.listen([ipaddress.ip_address("127.0.0.2")])
    session.announce(bytes(20), 7); session.get_peers(bytes(20)); session.count_nodes()
    session.put_item(bytes(32), b"", b"v"); session.get_item(bytes(32), b"")
    assert await session.routing_nodes() == ()
    await asyncio.sleep(0)
    session.close()
    print(*events)
asyncio.run(main())
"""


@asynccontextmanager
async def opened(*addresses: IPAddress, port: int, bootstrap: int = 0) -> AsyncIterator[tuple[MainlineSession, Ears]]:
    """A session on loopback addresses, which enters through the port `bootstrap` of FIRST."""
    entrances = (Endpoint(FIRST, bootstrap),) if bootstrap else ()
    ears = Ears()
    session = MainlineSession(MainlineSettings(port, entrances, lab=True), ears.hear)
    try:
        session.listen(addresses)
        await until(lambda: session.addresses == set(addresses))
        yield session, ears
    finally:
        session.close()


def free_port() -> int:
    """A UDP and TCP port that is free on all loopback addresses."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::", 0))
        return int(probe.getsockname()[1])


async def test_a_peer_announced_by_one_is_found_by_another_at_the_port_it_gave() -> None:
    port = free_port()
    async with opened(FIRST, port=port), opened(SECOND, port=port, bootstrap=port) as (announcer, announced):
        expected = names(INFOHASH, Endpoint(SECOND, 4567))
        await announced.ask(lambda: _announce_and_ask(announcer), PeersFound, expected)
        async with opened(THIRD, port=port, bootstrap=port) as (asker, heard):
            await heard.ask(lambda: asker.get_peers(INFOHASH), PeersFound, expected)


async def test_the_announcer_finds_itself_which_is_the_proof_that_somebody_keeps_it() -> None:
    port = free_port()
    async with opened(FIRST, port=port), opened(SECOND, port=port, bootstrap=port) as (announcer, heard):
        expected = names(INFOHASH, Endpoint(SECOND, 4567))
        await heard.ask(lambda: _announce_and_ask(announcer), PeersFound, expected)


@pytest.mark.attack("somebody without the secret", "aim a node at a third by asking it in the Mainline DHT")
async def test_a_forged_question_brings_little_more_than_eight_nodes_to_its_source() -> None:
    """libtorrent told of a hundred peers: nine times the question."""
    port = free_port()
    async with opened(FIRST, port=port):
        said, came = await asyncio.to_thread(_announce_and_spy, (str(FIRST), port))
    assert came and came < 4 * said


def _announce_and_spy(node: tuple[str, int]) -> tuple[int, int]:
    for _ in range(12):
        with Stranger(node) as peer:
            peer.announce(INFOHASH)
    with Stranger(node) as third:
        said = third.ask("get_peers", info_hash=INFOHASH)
        return said, sum(map(len, third.heard(2.0)))


async def test_both_families_are_nodes_of_their_own() -> None:
    port = free_port()
    async with opened(FIRST, SIXTH, port=port):
        other = MainlineSession(
            MainlineSettings(free_port(), (Endpoint(SIXTH, port),), lab=True), (ears := Ears()).hear
        )
        try:
            other.listen([SIXTH])
            expected = names(INFOHASH, Endpoint(SIXTH, 4567))
            await ears.ask(lambda: _announce_and_ask(other), PeersFound, expected)
        finally:
            other.close()


async def test_an_item_put_by_one_is_read_by_another() -> None:
    port = free_port()
    async with opened(FIRST, port=port), opened(SECOND, port=port, bootstrap=port) as (writer, written):
        await written.ask(
            lambda: writer.put_item(SEED, SALT, b"v\x00\xff"), ItemStored, lambda event: event.acknowledged > 0
        )
        async with opened(THIRD, port=port, bootstrap=port) as (reader, read):
            found = await read.ask(lambda: reader.get_item(PUBLIC_KEY, SALT), ItemFound)
            reader.get_item(PUBLIC_KEY, b"another salt")
            missing = await read.first(ItemMissing)
    assert (found.public_key, found.salt, found.value) == (PUBLIC_KEY, SALT, b"v\x00\xff")
    assert found.sequence >= 1
    assert missing == ItemMissing(PUBLIC_KEY, b"another salt")


async def test_the_largest_item_that_is_taken_is_kept() -> None:
    port = free_port()
    value = bytes(VALUE_BYTES_MAX)
    async with opened(FIRST, port=port), opened(SECOND, port=port, bootstrap=port) as (writer, written):
        await written.ask(lambda: writer.put_item(SEED, SALT, value), ItemStored, lambda event: event.acknowledged > 0)
        async with opened(THIRD, port=port, bootstrap=port) as (reader, read):
            assert (await read.ask(lambda: reader.get_item(PUBLIC_KEY, SALT), ItemFound)).value == value
        with pytest.raises(ValueError, match="900"):
            writer.put_item(SEED, SALT, value + b"x")


async def test_every_put_has_a_higher_sequence_number_than_the_one_before() -> None:
    port = free_port()
    async with opened(FIRST, port=port), opened(SECOND, port=port, bootstrap=port) as (writer, written):
        sequences = []
        for value in (b"one", b"two"):
            written.events.clear()
            stored = await written.ask(
                lambda value=value: writer.put_item(SEED, SALT, value),  # type: ignore[misc]
                ItemStored,
                lambda event: event.acknowledged > 0,
            )
            sequences.append(stored.sequence)
    assert sequences[0] < sequences[1]


def test_signatures_are_those_of_standard_ed25519() -> None:
    session = libtorrent.session(
        {
            "listen_interfaces": f"127.0.0.2:{free_port()}",
            "dht_bootstrap_nodes": "",
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "alert_mask": libtorrent.alert_category.dht,
        }
    )
    session.dht_put_mutable_item(expanded_key(SEED), PUBLIC_KEY, b"value", b"salt")
    deadline = time.monotonic() + 5
    puts: list[libtorrent.dht_put_alert] = []
    while not puts and time.monotonic() < deadline:
        session.wait_for_alert(100)
        puts = [alert for alert in session.pop_alerts() if isinstance(alert, libtorrent.dht_put_alert)]
    # BEP 44: what is signed is the bencoding of salt, seq and v without the dictionary around it
    SigningKey(SEED).verify_key.verify(b"4:salt4:salt3:seqi%de1:v5:value" % puts[0].seq, puts[0].signature)


async def test_a_taken_port_gives_another_one_that_is_the_same_on_all_addresses() -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((str(SECOND), port))
        async with opened(FIRST, SECOND, port=port) as (session, heard):
            assert session.port != port
            assert udp_sockets(port) == {f"{SECOND}:{port}"}
            assert udp_sockets(session.port) == {f"{FIRST}:{session.port}", f"{SECOND}:{session.port}"}
            assert heard.all(Trouble) == []


async def test_no_tcp_port_stays_open() -> None:
    async with opened(FIRST, SIXTH, port=free_port()) as (session, _):
        for address in (FIRST, SIXTH):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((str(address), session.port), timeout=1).close()


async def test_addresses_come_and_go_and_those_that_stay_are_not_disturbed() -> None:
    async with opened(FIRST, SECOND, port=free_port()) as (session, _):
        kept = inode(SECOND, session.port)
        session.listen([SECOND, THIRD])
        assert session.addresses == {SECOND}
        await until(lambda: session.addresses == {SECOND, THIRD})
        await until(lambda: udp_sockets(session.port) == {f"{SECOND}:{session.port}", f"{THIRD}:{session.port}"})
        assert inode(SECOND, session.port) == kept
        session.listen([])
        await until(lambda: udp_sockets(session.port) == set())
        assert session.addresses == set()


async def test_an_address_that_is_not_ours_is_reported_once() -> None:
    ears = Ears()
    session = MainlineSession(MainlineSettings(free_port(), lab=True), ears.hear)
    try:
        foreign = ipaddress.ip_address("192.0.2.77")
        session.listen([foreign])
        trouble = await ears.first(Trouble)
        session.listen([foreign])
        session.listen([FIRST])
        await until(lambda: session.addresses == {FIRST})
    finally:
        session.close()
    assert "192.0.2.77" in trouble.reason
    assert ears.all(Trouble) == [trouble]


async def test_garbage_on_the_port_changes_nothing() -> None:
    port = free_port()
    async with (
        opened(FIRST, port=port) as (_, victim),
        opened(SECOND, port=port, bootstrap=port) as (announcer, heard),
    ):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            for size in range(200):
                attacker.sendto(os.urandom(size), (str(FIRST), port))
                attacker.sendto(b"d1:y1:q1:q9:get_peers" + b"l" * size, (str(FIRST), port))
        expected = names(INFOHASH, Endpoint(SECOND, 4567))
        await heard.ask(lambda: _announce_and_ask(announcer), PeersFound, expected)
        assert victim.all(Trouble) == []


async def test_port_zero_cannot_be_announced() -> None:
    with pytest.raises(ValueError, match="port"):
        async with opened(FIRST, port=free_port()) as (session, _):
            session.announce(INFOHASH, 0)


async def test_closing_in_the_middle_of_everything_is_quick_and_may_come_twice() -> None:
    unanswered = free_port()
    async with opened(FIRST, SECOND, THIRD, port=free_port(), bootstrap=unanswered) as (session, _):
        for number in range(50):
            session.announce(number.to_bytes(20, "big"), 7)
            session.get_item(PUBLIC_KEY, number.to_bytes(4, "big"))
        saving = asyncio.ensure_future(session.routing_nodes())
        await turn_of_the_loop()
        begin = time.monotonic()
        session.close()
        session.close()
        assert time.monotonic() - begin < promised(0.5)
        await saving


def test_without_libtorrent_one_trouble_is_all_that_happens() -> None:
    done = subprocess.run([sys.executable, "-c", NO_LIBTORRENT], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    assert done.stdout.count("Trouble(") == 1
    assert "libtorrent" in done.stdout


def test_the_module_does_not_load_libtorrent() -> None:
    program = "import sys, wgmesh.discovery.mainline.io.session; print('libtorrent' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout == "False\n"


def _announce_and_ask(session: MainlineSession) -> None:
    """An announce while the routing table is still empty reaches nobody, and nobody tells."""
    session.announce(INFOHASH, 4567)
    session.get_peers(INFOHASH)


def udp_sockets(port: int) -> set[str]:
    """The UDP sockets of this machine on a port, as ADDRESS:PORT without a device."""
    shown = subprocess.run(["ss", "-Hnlu", "sport", "=", str(port)], capture_output=True, text=True, check=True)
    return {line.split()[3].replace("%lo", "") for line in shown.stdout.splitlines()}


def inode(address: IPAddress, port: int) -> str:
    """What tells one socket from its successor."""
    shown = subprocess.run(["ss", "-Hnlue", "src", f"{address}:{port}"], capture_output=True, text=True, check=True)
    return next(word for word in shown.stdout.split() if word.startswith("ino:"))
