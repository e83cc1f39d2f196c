"""Machines that share nothing but a secret and a DHT: other subnets, no multicast, no STUN, no named peer."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.outsider import ETH_P_ALL, Wiretap, drained
from support.swarm import INTERNET, Swarm
from wgmesh.core.keyschedule import derive, network_id_at
from wgmesh.core.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import socket_in
from wgmesh.demo.waiting import wait_for
from wgmesh.discovery.contacts import CONCURRENT_MAX
from wgmesh.discovery.greetings import STRANGER_PATIENCE_S

FIRST_PING_S = 10.0  # the measured median is in docs/benchmarks.md; this only has to tell working from not
# aria2 knows nothing of BEP 44 and is silent; libtorrent gives a node that it asked 15 s before it goes on to store.
RECORD_STORED_S = 40.0
WATCHED_S = 15.0


@dataclass(frozen=True, slots=True)
class World:
    """Two sites behind one router, and a swarm on the internet between them."""

    fabric: Fabric
    swarm: Swarm

    def node(self, name: str, site: str, secret: str, *flags: str) -> MeshNode:
        host = self.fabric.hosts.get(name) or self.fabric.add_host(name, site)
        return MeshNode(host, secret, "--no-stun", "--dht-bootstrap", self.swarm.bootstrap, *flags)


@pytest.fixture
def world(fabric: Fabric) -> Iterator[World]:
    fabric.add_lan("office")
    swarm = Swarm(fabric)
    fabric.add_router("router", ["lan", "office", INTERNET])
    swarm.start()
    yield World(fabric, swarm)


def pair(world: World) -> tuple[MeshNode, MeshNode]:
    secret = new_secret()
    return world.node("a", "lan", secret), world.node("b", "office", secret)


def test_nodes_in_different_subnets_meet_over_the_dht_alone(world: World) -> None:
    a, b = pair(world)
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b], FIRST_PING_S)
    (peer,) = json.loads(a.cli("peers", "list", "--json").stdout)["peers"]
    assert {"dht", "exchange"} & set(peer["discovered_via"])
    assert peer["proven_by"] == "handshake" and peer["proven_at"]
    layers = {each["name"]: each for each in json.loads(a.cli("status", "--json").stdout)["layers"]}
    assert layers["dht"]["state"] == "running"
    wait_for(lambda: "confirmed" in _dht_detail(a), 10.0, "the announce is confirmed")
    wait_for(lambda: "record stored" in _dht_detail(a), RECORD_STORED_S, "the record is stored")
    assert f"announced as {a.host.ipv4}:" in _dht_detail(a)


def test_after_a_restart_nodes_meet_again_although_every_way_in_is_dead(world: World) -> None:
    a, b = pair(world)
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b], FIRST_PING_S)
    for node in (a, b):
        node.running_process().stop()
    world.swarm.kill_bootstrap()
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b], FIRST_PING_S)


def test_without_their_cache_they_meet_through_the_nodes_that_they_remember(world: World) -> None:
    a, b = pair(world)
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b], FIRST_PING_S)
    for node in (a, b):
        node.running_process().stop()
        assert list(node.host.state_dir.glob("wg0-*-dht.nodes"))
        (node.host.state_dir / "wg0-peers.json").unlink(missing_ok=True)
    world.swarm.kill_bootstrap()
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b], 20.0)


def test_a_newcomer_is_found_after_half_of_the_swarm_has_died(world: World) -> None:
    a, b = pair(world)
    a.start()
    wait_for(lambda: "confirmed" in _dht_detail(a), 15.0, "the first has announced itself")
    world.swarm.kill([1, 2, 5])
    b.start()
    wait_for_full_mesh([a, b], 30.0)


def test_nodes_that_lie_keep_nobody_apart_and_make_us_ask_few_of_their_inventions(world: World) -> None:
    """Three of ten name dead nodes, records that nobody signed, and ten thousand peers that do not exist."""
    ways_in = ("--dht-bootstrap", ",".join(world.swarm.add_liars(3)))
    secret = new_secret()
    a, b = world.node("a", "lan", secret, *ways_in), world.node("b", "office", secret, *ways_in)
    with Wiretap(a.host) as tap:
        began_at = time.monotonic()
        for node in (a, b):
            node.start()
        wait_for_full_mesh([a, b], 20.0)
        services = a.service_pids()
        wait_for(lambda: time.monotonic() - began_at > WATCHED_S, WATCHED_S + 5, "many look-ups were answered")
        asked = [seen for seen in tap.captured() if seen.destination.startswith("45.") and seen.envelope]
        span_s = time.monotonic() - began_at
    assert asked, "nothing of what the liars say has arrived"
    assert max(len(seen.payload) for seen in asked) < 800, "a stranger gets one small HELLO, without a list"
    assert len({seen.destination for seen in asked}) <= CONCURRENT_MAX * (span_s / STRANGER_PATIENCE_S + 1)
    assert a.service_pids() == services
    assert len(a.peers()) == 1


def test_a_swarm_that_comes_late_is_found(world: World) -> None:
    secret = new_secret()
    a = world.node("a", "lan", secret)
    a.host.nft("table inet cut { chain out { type filter hook output priority 0; udp dport 6881 drop\n}\n}\n")
    a.start()
    wait_for(
        lambda: "no node has answered yet" in _dht_detail(a), 5.0, "the DHT is out of reach, and nothing else fails"
    )
    b = world.node("b", "office", secret)
    b.start()
    a.host.nft("delete table inet cut\n")
    wait_for_full_mesh([a, b], 75.0)


def test_nothing_of_a_start_names_the_mesh_for_good(world: World) -> None:
    """Upstream looks up an id that never changes at every start (BUG 56)."""
    secret = new_secret()
    a = world.node("a", "lan", secret)
    with socket_in(a.host.attachments[0].switch, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        tap.setblocking(False)
        a.start()
        wait_for(lambda: "record stored" in _dht_detail(a), RECORD_STORED_S, "the record is stored")
        everything = b"".join(drained(tap))
    now = time.time()
    hourly = [network_id_at(Secret(secret), at) for at in (now, now - 3600)]
    assert all(each in everything for each in hourly)
    assert derive(Secret(secret)).network_id not in everything
    assert secret.encode() not in everything


def _dht_detail(node: MeshNode) -> str:
    shown = node.cli("status", "--json")
    if shown.returncode:
        return ""
    return str(next(each for each in json.loads(shown.stdout)["layers"] if each["name"] == "dht")["detail"])
