"""Sites that are cut off from the world: a DHT of the mesh's own, whose nodes are its members."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from wgmesh.core.keyschedule import derive
from wgmesh.core.secret import Secret
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


def detail(node: MeshNode) -> str:
    shown = node.cli("status", "--json")
    layers = json.loads(shown.stdout)["layers"] if shown.returncode == 0 else []
    return str(next((each["detail"] for each in layers if each["name"] == "dht"), ""))


def test_nodes_in_different_subnets_meet_through_the_private_dht_alone(sites: Fabric) -> None:
    nodes = members(sites, new_secret(), {"hub": "lan", "a": "office", "b": "plant"})
    for node in nodes.values():
        node.start()
    wait_for_full_mesh(list(nodes.values()), 20.0)
    assert "private" in detail(nodes["a"])
    (peer, *_) = json.loads(nodes["a"].cli("peers", "list", "--json").stdout)["peers"]
    assert peer["proven_by"] == "handshake"


def test_after_a_restart_they_meet_again_although_the_way_in_is_dead(sites: Fabric) -> None:
    nodes = members(sites, new_secret(), {"hub": "lan", "a": "office", "b": "plant"})
    for node in nodes.values():
        node.start()
    wait_for_full_mesh(list(nodes.values()), 20.0)
    nodes["hub"].running_process().kill()
    pair = [nodes["a"], nodes["b"]]
    for node in pair:
        node.running_process().stop()
    for node in pair:
        node.start()
    wait_for_full_mesh(pair, 20.0)


def test_eight_nodes_of_which_half_die_take_in_a_newcomer(sites: Fabric) -> None:
    lans = ("lan", "office", "plant")
    nodes = members(sites, new_secret(), {f"n{number}": lans[number % 3] for number in range(9)})
    *early, late = nodes.values()
    for node in early:
        node.start()
    wait_for_full_mesh(early, 40.0)
    dead, alive = early[1:5], [early[0], *early[5:]]
    for node in dead:
        node.running_process().kill()
    late.start()
    wait_for_full_mesh([*alive, late], 30.0)


def test_beside_a_private_dht_there_is_no_public_one(sites: Fabric) -> None:
    nodes = members(sites, new_secret(), {"hub": "lan", "a": "office"})
    for node in nodes.values():
        node.start()
    wait_for_full_mesh(list(nodes.values()), 20.0)
    for node in nodes.values():
        loaded = Path(f"/proc/{node.service_pids()['discovery']}/maps").read_text()
        assert "libtorrent" not in loaded
    wait_for(lambda: "1 nodes" in detail(nodes["a"]), 5.0, "its only node is the hub")
