"""A member that invents names, a thousand and more: it fills nothing, nobody else hears of them, and nobody waits.

It knows the secret, so it can seal what it likes, prove what it says in the name of keys that it makes, and answer at
its own address whatever it is asked there.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.lab.insider import Insider
from support.lab.outsider import Outsider
from support.lab.pings import RunningPing
from support.lab.witnesses import wait_until_read
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.envelope import open_envelope
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for
from wgmesh.discovery.members.evidence import CLAIMS_MAX, CLAIMS_PER_HOST_MAX, DIRECT_PER_HOST_MAX, TOLD_PER_HOST_MAX

NAMES = 1100  # more than a table holds
ATTACK_S = 20.0  # long enough for what passes at once to be less than a line a second
SETTLE_PINGS = 25  # half a second in which a lost tunnel would show
AT_ONCE = 50  # as many as the buffer of a socket and the share of a source take without loss
PINGS_IN_S = 2.0
SHOWN_MAX = CLAIMS_MAX + 8  # the members besides

Say = Callable[[Outsider, Insider, PublicKey, str, int], None]


def claimed(wire: Outsider, insider: Insider, hearer: PublicKey, to: str, number: int) -> None:
    """A HELLO in a name that nobody has, as a Go node writes it."""
    hello = insider.seal("HELLO", insider.describe(PublicKey(os.urandom(32)), hostname="invented"))
    wire.send(hello, to, insider.keys.gossip_port)


def claimed_from_everywhere(wire: Outsider, insider: Insider, hearer: PublicKey, to: str, number: int) -> None:
    """The same with forged sources, each another host of the LAN."""
    hello = insider.seal("HELLO", insider.describe(PublicKey(os.urandom(32)), hostname="invented"))
    source = f"192.168.77.{20 + number % 200}"
    wire.send_as(source, insider.keys.gossip_port, hello, to, insider.keys.gossip_port)


def proven(wire: Outsider, insider: Insider, hearer: PublicKey, to: str, number: int) -> None:
    """A HELLO of our own kind, in the name of a new key and with its proof."""
    name = Insider(insider.secret)
    payload = name.extended(name.describe(name.public_key, hostname="invented"))
    wire.send(name.seal_to(hearer, "HELLO", payload), to, insider.keys.gossip_port)


@pytest.mark.attack("a member", "fill the table with 1,100 invented names")
@pytest.mark.parametrize("say", [claimed, claimed_from_everywhere, proven], ids=lambda say: say.__name__)
def test_a_newcomer_pings_at_once_and_nothing_is_told_or_kept_of_invented_names(
    fabric: Fabric, came_of: Callable[[str], None], say: Say
) -> None:
    secret = new_secret()
    hosts = fabric.add_hosts(["a", "b", "late", "liar"])
    a, b, late = (MeshNode(host, secret, "--no-stun", "--no-dht") for host in hosts[:3])
    for node in (a, b):
        node.start()
    addresses = wait_for_full_mesh([a, b])
    with Outsider(hosts[3]) as wire, RunningPing(a.host, addresses["b"]) as ping:
        invent(wire, secret, a, say)
        assert len(a.peers()) <= SHOWN_MAX
        late.start()
        late.wait_until_ready()
        ready_at = time.monotonic()
        with Pinger([late.host]) as pinger:
            target = Target("late", addresses["a"])
            wait_for(lambda: pinger.ping([target], 0.2), promised(PINGS_IN_S), "the newcomer pings the one attacked")
        ping_s = time.monotonic() - ready_at
        wait_for_full_mesh([a, b, late], PATIENCE_S)
    assert ping.lost == []

    direct_max = DIRECT_PER_HOST_MAX if say is proven else 0
    assert len(invented(b)) <= direct_max and len(invented(late)) <= direct_max
    cache = Path(a.host.state_dir / "wg0-peers.json")
    wait_for(lambda: cache.exists() and '"hostname": "late"' in cache.read_text(), PATIENCE_S, "the cache is written")
    assert cache.read_text().count('"invented"') <= direct_max
    came_of(f"{say.__name__}: a newcomer pings {ping_s:.1f} s after it is ready; {len(invented(b))} names told on")


@pytest.mark.attack("a member", "fill the log with invented names")
@pytest.mark.parametrize("say", [claimed, claimed_from_everywhere, proven], ids=lambda say: say.__name__)
def test_names_that_are_invented_without_end_make_less_than_a_line_a_second(
    fabric: Fabric, came_of: Callable[[str], None], say: Say
) -> None:
    secret = new_secret()
    hosts = fabric.add_hosts(["a", "b", "liar"])
    a, b = (MeshNode(host, secret, "--no-stun", "--no-dht") for host in hosts[:2])
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    lines, began_at = {node.name: len(log_of(node)) for node in (a, b)}, time.monotonic()
    with Outsider(hosts[2]) as wire:
        while time.monotonic() - began_at < ATTACK_S:
            invent(wire, secret, a, say)
        elapsed_s = time.monotonic() - began_at
    for node in (a, b):
        written = log_of(node)[lines[node.name] :]
        assert len(written) <= elapsed_s, Counter(" ".join(line.split()[1:5]) for line in written)
        assert not [line for line in written if " error " in line]
        came_of(f"{say.__name__}: {len(written)} log lines of {node.name} in {elapsed_s:.0f} s")


@pytest.mark.attack("a member", "be many peers by answering in every name")
def test_one_that_answers_at_its_own_address_in_every_name_is_few_peers(fabric: Fabric) -> None:
    """Each HELLO in an invented name is asked back at the address that it came from, and answered there."""
    secret = new_secret()
    hosts = fabric.add_hosts(["a", "b", "liar"])
    a, b = (MeshNode(host, secret, "--no-stun", "--no-dht") for host in hosts[:2])
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    insider = Insider(Secret(secret))
    to, port = str(a.host.ipv4), insider.keys.gossip_port
    with Outsider(hosts[2]) as wire:
        answered = 0
        for _ in range(4 * DIRECT_PER_HOST_MAX):
            described = insider.describe(PublicKey(os.urandom(32)), hostname="invented")
            wire.send(insider.seal("HELLO", described), to, port)
            heard: list[tuple[str, Endpoint]] = []
            wait_for(lambda heard=heard: was_answered(wire, insider, heard), PATIENCE_S, "the HELLO is answered")  # type: ignore[misc]
            for kind, source in heard:
                if kind == "HELLO":  # for this name, or for one before it: any name will do
                    wire.send(insider.seal("REPLY", described | {"observed_endpoint": str(source)}), to, port)
                    answered += 1
        assert answered > DIRECT_PER_HOST_MAX, "the names were not asked back, so nothing was tried"
        wait_until_read(wire, secret, to, port)
        assert len(direct(a)) <= DIRECT_PER_HOST_MAX + 1
        assert len(invented(b)) <= DIRECT_PER_HOST_MAX


def was_answered(wire: Outsider, insider: Insider, heard: list[tuple[str, Endpoint]]) -> bool:
    """Adds what has come to the liar's own address, with its type; whether a REPLY has."""
    for data, source in wire.received():
        heard.append((open_envelope(data, insider.keys.gossip_key, time.time()).type, source))
    return any(kind == "REPLY" for kind, _ in heard)


def invent(wire: Outsider, secret: str, a: MeshNode, say: Say) -> None:
    """Says all the names, as fast as they are read."""
    insider, hearer, to = Insider(Secret(secret)), PublicKey(a.wait_until_ready().public_key), str(a.host.ipv4)
    for number in range(NAMES):
        say(wire, insider, hearer, to, number)
        if number % AT_ONCE == AT_ONCE - 1:
            wait_until_read(wire, secret, to, insider.keys.gossip_port)


def invented(node: MeshNode) -> list[str]:
    return [peer.hostname for peer in node.peers() if peer.hostname == "invented"]


def direct(node: MeshNode) -> list[str]:
    """Who has spoken with a proof, or from where it was asked."""
    return [peer.hostname for peer in node.peers() if peer.HasField("last_seen_time")]


def log_of(node: MeshNode) -> list[str]:
    return node.running_process().output().splitlines()


@pytest.mark.attack("a member", "tell of 10,000 peers that nobody has met")
def test_a_member_that_invents_thousands_fills_nothing_and_keeps_nobody_out(fabric: Fabric) -> None:
    secret = new_secret()
    hosts = fabric.add_hosts(["a", "b", "late", "liar"])
    a, b, late = (MeshNode(host, secret, "--no-stun", "--no-dht") for host in hosts[:3])
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    with Outsider(hosts[3]) as wire, RunningPing(a.host, b.wait_until_ready().mesh_ipv4) as ping:
        tell_of_a_crowd(wire, secret, a, liars=5)
        wait_for(lambda: len(a.peers()) > TOLD_PER_HOST_MAX, PATIENCE_S, "some of the inventions are heard")
        full = _memory_mb(a)
        tell_of_a_crowd(wire, secret, a, liars=20)
        answered = max(ping.answered())
        wait_for(lambda: max(ping.answered()) > answered + SETTLE_PINGS, PATIENCE_S, "the tunnel carries on")
        assert len(a.peers()) <= TOLD_PER_HOST_MAX + DIRECT_PER_HOST_MAX + CLAIMS_PER_HOST_MAX + 1
        assert _memory_mb(a) - full < 20.0
        late.start()
        wait_for_full_mesh([a, b, late], PATIENCE_S)
    assert ping.lost == []


def tell_of_a_crowd(wire: Outsider, secret: str, a: MeshNode, liars: int) -> None:
    """Each liar has a new key and names five hundred others, of whom nobody exists."""
    hearer, address = PublicKey(a.wait_until_ready().public_key), str(a.host.ipv4)
    for liar in (Insider(Secret(secret)) for _ in range(liars)):
        for _ in range(10):
            crowd = [_told(liar.describe(PublicKey(os.urandom(32)), wg_endpoint="198.18.0.9:51820")) for _ in range(50)]
            payload = liar.extended(liar.describe(liar.public_key, wg_endpoint="", known_peers=crowd))
            wire.send(liar.seal_to(hearer, "HELLO", payload), address, liar.keys.gossip_port)
        wait_until_read(wire, secret, address, liar.keys.gossip_port)  # faster than that most of it would be dropped


def _told(description: dict[str, Any]) -> dict[str, Any]:
    """What one member says of another."""
    return {name: description[name] for name in ("wg_pubkey", "hostname", "mesh_ip", "wg_endpoint")}


def _memory_mb(node: MeshNode) -> float:
    lines = Path(f"/proc/{node.service_pids()['discovery']}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024
