"""Another mesh's tunnel never carries this one, unless the operator says so."""

from __future__ import annotations

import pytest
from support.lab.meshes import StartMesh, the_peer
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.waiting import wait_for

INNER = ("--no-lan-discovery", "--no-dht", "--no-stun")


@pytest.mark.parametrize("is_named", [False, True])
def test_a_mesh_whose_members_meet_through_another_mesh_speaks_outside_it_unless_it_is_named(
    fabric: Fabric, is_named: bool
) -> None:
    """The first words go through the other tunnel, by the operator's address; WireGuard's own do not."""
    hosts = fabric.add_hosts(["a", "b"])
    outer_secret, inner_secret = new_secret(), new_secret()
    outer = [
        MeshNode(host, outer_secret, "--mesh-subnet", "10.78.0.0/16", "--no-dht", "--no-stun", interface="wg1")
        for host in hosts
    ]
    for node in outer:
        node.start()
    the_peer(outer[0])
    there = outer[1].wait_until_ready().mesh_ipv4
    flags = (*INNER, *(["--underlay", "wg1"] if is_named else []))
    a = MeshNode(hosts[0], inner_secret, "--mesh-subnet", "10.79.0.0/16", *flags, "--peer", there)
    b = MeshNode(hosts[1], inner_secret, "--mesh-subnet", "10.79.0.0/16", *flags)
    for node in (b, a):
        node.start()
    assert the_peer(a).endpoint.host in ({there} if is_named else own_addresses(hosts[1]))


@pytest.mark.parametrize(
    ("flags", "spoken_on"),
    [
        ((), {"eth0", "eth1"}),
        (("--no-underlay", "eth1"), {"eth0"}),
        (("--underlay", "eth1"), {"eth1"}),
        (("--underlay", "eth0,vx0"), {"eth0", "vx0"}),
    ],
)
def test_a_node_announces_itself_on_its_underlay_alone(
    fabric: Fabric, flags: tuple[str, ...], spoken_on: set[str]
) -> None:
    fabric.add_lan("other")
    host = fabric.add_host("a")
    fabric.attach(host, "other")
    add_tunnel(host)
    node = MeshNode(host, new_secret(), "--no-dht", "--no-stun", *flags)
    node.start()
    wait_for(lambda: announced_on(node) == spoken_on, PATIENCE_S, f"it speaks on {spoken_on}")


def test_a_tunnel_that_comes_while_a_node_runs_is_left_alone(start_mesh: StartMesh) -> None:
    a, b = start_mesh("a b", "--no-dht", "--no-stun")
    for node in (a, b):
        add_tunnel(node.host)
    a.host.ip("link", "add", "plain0", "type", "veth", "peer", "name", "plain1")
    a.host.ip("addr", "add", "192.168.99.1/24", "dev", "plain0")
    a.host.ip("link", "set", "plain0", "up")
    a.host.ip("link", "set", "plain1", "up")
    wait_for(lambda: announced_on(a) == {"eth0", "plain0"}, PATIENCE_S, "it has seen what came")
    assert the_peer(a).endpoint.host in own_addresses(b.host)


def own_addresses(host: Host) -> set[str]:
    """Those on the LAN. By which of them two nodes meet first is chance on a busy machine."""
    return {str(host.ipv4), str(host.ipv6)}


def add_tunnel(host: Host) -> None:
    """A VXLAN of somebody else's."""
    number = int(str(host.ipv4).rpartition(".")[2])
    host.ip("link", "add", "vx0", "type", "vxlan", "id", "7", "dev", "eth0", "group", "239.7.7.7", "dstport", "4789")
    host.ip("addr", "add", f"10.9.9.{number}/24", "dev", "vx0")
    host.ip("link", "set", "vx0", "up")


def announced_on(node: MeshNode) -> set[str]:
    """The interfaces on which the layer of the LAN says that it is."""
    status = node.status()
    detail = "".join(layer.detail for layer in status.layers if layer.name == "lan") if status is not None else ""
    return set(detail.removeprefix("on ").split(", "))
