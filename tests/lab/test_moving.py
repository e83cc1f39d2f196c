"""Whole nodes that move, and interfaces that come and go, while everything runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from support.lab.layers import layer_detail
from support.lab.meshes import CONNECTED, StartMesh, the_peer
from support.promises import promised
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for

AGAIN_S = 10.0  # what the project promises after a move
MEET_S = 3.0  # an interface comes up, and the first announcement on it is heard
MOVED_IPV4 = "192.168.77.177"


@contextmanager
def nothing_restarts(*nodes: MeshNode) -> Iterator[None]:
    before = [node.service_pids() for node in nodes]
    yield
    assert [node.service_pids() for node in nodes] == before


def wait_for_tunnel(a: MeshNode, b: MeshNode, timeout_s: float) -> None:
    """Waits until each pings the other through the mesh."""
    targets = [Target(a.name, b.wait_until_ready().mesh_ipv4), Target(b.name, a.wait_until_ready().mesh_ipv4)]
    with Pinger([a.host, b.host]) as pinger:
        wait_for(lambda: len(pinger.ping(targets, 0.5)) == 2, timeout_s, f"{a.name} and {b.name} ping each other")


def test_a_node_that_gets_another_address_on_its_lan_is_connected_again(start_mesh: StartMesh) -> None:
    a, b = start_mesh("a b")
    the_peer(a)
    with nothing_restarts(a, b):
        b.host.ip("addr", "flush", "dev", "eth0", "scope", "global")
        b.host.ip("addr", "add", f"{MOVED_IPV4}/24", "dev", "eth0")
        wait_for_tunnel(a, b, promised(AGAIN_S))
        wait_for(lambda: the_peer(a).endpoint.host == MOVED_IPV4, promised(AGAIN_S), "the peer is shown where it is")
    assert the_peer(b).state == CONNECTED


def test_a_node_that_moves_to_another_subnet_is_connected_again_by_its_static_peer(fabric: Fabric) -> None:
    secret = new_secret()
    fabric.add_lan("office")
    hosts = fabric.add_hosts(["a", "b", "router"])
    fabric.attach(hosts[2], "office")
    lan, office = (plug.ipv4 for plug in hosts[2].attachments)
    hosts[2].exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
    hosts[0].ip("route", "add", str(office.network), "via", str(lan.ip))
    a = MeshNode(hosts[0], secret)
    b = MeshNode(hosts[1], secret, "--peer", str(hosts[0].ipv4))
    for node in (a, b):
        node.start()
    wait_for_tunnel(a, b, promised(AGAIN_S))
    the_peer(a)
    with nothing_restarts(a, b):
        b.host.set_link(up=False)
        fabric.attach(b.host, "office")
        b.host.ip("route", "add", str(lan.network), "via", str(office.ip))
        wait_for_tunnel(a, b, promised(AGAIN_S))
        moved = str(b.host.attachments[1].ipv4.ip)
        wait_for(lambda: the_peer(a).endpoint.host == moved, promised(AGAIN_S), "the peer is shown where it is")


def test_a_node_whose_only_interface_comes_up_after_its_start_meets_the_other(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"]))
    b.host.set_link(up=False)
    for node in (a, b):
        node.start()
        node.wait_until_ready()
    assert list(a.peers()) == []
    with nothing_restarts(a, b):
        b.host.set_link(up=True)
        wait_for_tunnel(a, b, promised(MEET_S))


def test_a_lan_that_is_plugged_in_while_the_node_runs_is_joined_and_left(fabric: Fabric) -> None:
    secret = new_secret()
    fabric.add_lan("second")
    a, b = MeshNode(fabric.add_host("a"), secret), MeshNode(fabric.add_host("b", "second"), secret)
    for node in (a, b):
        node.start()
        node.wait_until_ready()
    with nothing_restarts(a, b):
        fabric.attach(a.host, "second")
        wait_for_tunnel(a, b, promised(MEET_S))
        assert layer_detail(a, "lan") == "on eth0, eth1"
        a.host.ip("link", "del", "eth1")
        wait_for(lambda: layer_detail(a, "lan") == "on eth0", promised(MEET_S), "the interface that is gone is left")
