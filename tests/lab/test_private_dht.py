"""Sites that are cut off from the world: a DHT of the mesh's own, whose nodes are its members."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.lab.layers import layer_detail
from support.waiting import PATIENCE_S
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for


@pytest.fixture
def sites(fabric: Fabric) -> Fabric:
    for name in ("office", "plant"):
        fabric.add_lan(name)
    fabric.add_router("router", ["lan", "office", "plant"])
    return fabric


def members(fabric: Fabric, secret: str, places: dict[str, str]) -> dict[str, MeshNode]:
    """Nodes on LANs; each knows the first one's address as its way in, and does not hear multicast."""
    port = derive(Secret(secret)).dht_port
    hosts = {name: fabric.add_host(name, lan) for name, lan in places.items()}
    way_in = f"{next(iter(hosts.values())).ipv4}:{port}"
    return {
        name: MeshNode(host, secret, "--no-stun", "--no-lan-discovery", "--private-dht", way_in)
        for name, host in hosts.items()
    }


def test_nodes_in_different_subnets_meet_through_the_private_dht_alone(sites: Fabric) -> None:
    nodes = members(sites, new_secret(), {"hub": "lan", "a": "office", "b": "plant"})
    for node in nodes.values():
        node.start()
    wait_for_full_mesh(list(nodes.values()))
    assert "private" in layer_detail(nodes["a"], "dht")
    peers = [
        peer for node in nodes.values() for peer in json.loads(node.cli("peers", "list", "--json").stdout)["peers"]
    ]
    assert any("dht-record" in peer["discovered_via"] for peer in peers), "else nobody can have heard of anybody"
    assert all(peer["proven_by"] == "handshake" for peer in peers)


def test_after_a_restart_they_meet_again_although_the_way_in_is_dead(sites: Fabric) -> None:
    nodes = members(sites, new_secret(), {"hub": "lan", "a": "office", "b": "plant"})
    for node in nodes.values():
        node.start()
    wait_for_full_mesh(list(nodes.values()))
    nodes["hub"].running_process().kill()
    pair = [nodes["a"], nodes["b"]]
    for node in pair:
        node.running_process().stop()
    for node in pair:
        node.start()
    wait_for_full_mesh(pair)


def test_eight_nodes_of_which_half_die_take_in_a_newcomer(sites: Fabric) -> None:
    lans = ("lan", "office", "plant")
    nodes = members(sites, new_secret(), {f"n{number}": lans[number % 3] for number in range(9)})
    *early, late = nodes.values()
    for node in early:
        node.start()
    wait_for_full_mesh(early)
    dead, alive = early[1:5], [early[0], *early[5:]]
    for node in dead:
        node.running_process().kill()
    late.start()
    wait_for_full_mesh([*alive, late])


def test_beside_a_private_dht_there_is_no_public_one(sites: Fabric) -> None:
    nodes = members(sites, new_secret(), {"hub": "lan", "a": "office"})
    for node in nodes.values():
        node.start()
    wait_for_full_mesh(list(nodes.values()))
    for node in nodes.values():
        loaded = Path(f"/proc/{node.service_pids()['discovery']}/maps").read_text()
        assert "libtorrent" not in loaded
    wait_for(lambda: "1 nodes" in layer_detail(nodes["a"], "dht"), PATIENCE_S, "its only node is the hub")
