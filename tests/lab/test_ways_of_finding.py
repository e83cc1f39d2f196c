"""One node, and for each way of finding a peer that it can find in no other way."""

from __future__ import annotations

import json

from support.lab.swarm import INTERNET, Swarm
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

FOUND_S = 30.0  # what the project promises of the slowest way, the DHT
# By the peer's name, what it may be said to be found by. Of two on a LAN one finds the other, which then hears a HELLO;
# hearsay comes in a REPLY or by gossip.
WAYS = {
    "near": {"lan", "exchange"},
    "named": {"static"},
    "told": {"known-peer", "gossip"},
    "far": {"dht"},
    "met": {"cache"},
}


def test_every_way_of_finding_works_beside_the_others(fabric: Fabric) -> None:
    for name in ("office", "plant"):
        fabric.add_lan(name)
    swarm = Swarm(fabric)
    fabric.add_router("router", ["lan", "office", "plant", INTERNET])
    swarm.start()
    secret, host = new_secret(), fabric.add_host("a")

    def node(name: str, lan: str, *flags: str) -> MeshNode:
        return MeshNode(fabric.add_host(name, lan), secret, "--no-stun", *flags)

    silent = ("--no-lan-discovery", "--no-dht")
    near = node("near", "lan", "--no-dht")
    named = node("named", "office", *silent)
    told = node("told", "office", *silent, "--peer", str(named.host.ipv4))
    far = node("far", "plant", "--no-lan-discovery", "--dht-bootstrap", swarm.bootstrap)
    met = node("met", "plant", *silent)
    meet_and_part(MeshNode(host, secret, "--no-stun", *silent, "--peer", str(met.host.ipv4)), met)
    (met.host.state_dir / "wg0-peers.json").unlink(missing_ok=True)  # it does not look for us
    for each in (near, named, told, far, met):
        each.start()
    wait_for_full_mesh([named, told])
    wait_for(lambda: "confirmed" in far.cli("status").stdout, PATIENCE_S, "one is announced in the DHT")
    assert not any(each.peers() for each in (near, far, met))

    a = MeshNode(host, secret, "--no-stun", "--dht-bootstrap", swarm.bootstrap, "--peer", str(named.host.ipv4))
    a.start()

    wait_for(lambda: found_and_proven(a) == WAYS.keys(), promised(FOUND_S), "each is found in its way, and connected")
    assert "lan" in {*found_by(a).get("near", ()), *found_by(near).get("a", ())}
    wait_for_full_mesh([a, near, named, told, far, met], promised(FOUND_S))


def meet_and_part(one: MeshNode, other: MeshNode) -> None:
    """Lets two nodes meet, and ends both."""
    for each in (one, other):
        each.start()
    wait_for_full_mesh([one, other])
    for each in (one, other):
        each.running_process().stop()


def found_and_proven(node: MeshNode) -> set[str]:
    """The names of the peers that have a working tunnel and are said to be found in their own way."""
    return {name for name, ways in found_by(node).items() if WAYS.get(name, set()) & ways}


def found_by(node: MeshNode) -> dict[str, set[str]]:
    """What a node says to have found its peers by, of those with a working tunnel."""
    shown = node.cli("peers", "list", "--json")
    peers = json.loads(shown.stdout)["peers"] if shown.returncode == 0 else []
    return {peer["hostname"]: set(peer["discovered_via"]) for peer in peers if peer["proven_by"]}
