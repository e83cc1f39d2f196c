"""Nodes on a LAN that has no IPv4, or loses it while they run."""

from __future__ import annotations

import time

import pytest
from pages.faults import Observe, Observed
from support.lab.layers import layer_detail
from support.lab.meshes import CONNECTED, the_peer
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for

OFFLINE = ("--no-stun", "--no-dht")  # the LAN is all there is
AGAIN_S = 240.0  # a WireGuard session that began just before ends by then, and the tunnel moves at the latest


def drop_ipv4(host: Host) -> None:
    host.ip("-4", "addr", "flush", "dev", "eth0")


def test_two_nodes_on_a_lan_without_any_ipv4_address_meet_and_ping(fabric: Fabric) -> None:
    secret = new_secret()
    nodes = [MeshNode(host, secret, *OFFLINE) for host in fabric.add_hosts(["a", "b"])]
    for node in nodes:
        drop_ipv4(node.host)
        node.start()
    wait_for_full_mesh(nodes)
    for node in nodes:
        peer = the_peer(node)
        assert peer.endpoint.host.startswith("fd77:") and peer.state == CONNECTED
        assert layer_detail(node, "lan") == "on eth0 (IPv6 only)"
    assert any("lan" in the_peer(node).discovery_methods for node in nodes)


def test_a_node_without_ipv4_meets_one_that_has_both(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret, *OFFLINE) for host in fabric.add_hosts(["a", "b"]))
    a.start()
    a.wait_until_ready()
    drop_ipv4(b.host)
    b.start()
    wait_for_full_mesh([a, b])
    assert layer_detail(a, "lan") == "on eth0" and the_peer(a).endpoint.host.startswith("fd77:")


@pytest.mark.fault("The LAN", "a node loses its IPv4 address, and has IPv6 alone")
def test_a_node_that_loses_its_ipv4_address_is_reached_by_ipv6(fabric: Fabric, observe: Observe) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret, *OFFLINE) for host in fabric.add_hosts(["a", "b"]))
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    drop_ipv4(b.host)
    since = time.monotonic()
    wait_for(lambda: layer_detail(b, "lan") == "on eth0 (IPv6 only)", PATIENCE_S, "the LAN is joined by IPv6 alone")
    targets = [Target(a.name, b.wait_until_ready().mesh_ipv4), Target(b.name, a.wait_until_ready().mesh_ipv4)]
    with Pinger([a.host, b.host]) as pinger:
        wait_for(lambda: len(pinger.ping(targets, 0.5)) == 2, promised(AGAIN_S), "a and b ping each other again")
    observe(Observed(recovered_s=time.monotonic() - since, shown="layer `lan`: IPv6 only"))
    wait_for(lambda: the_peer(a).endpoint.host.startswith("fd77:"), PATIENCE_S, "the peer is shown where it is")


def test_a_lan_with_link_local_addresses_alone_is_named_as_what_it_is(fabric: Fabric) -> None:
    node = MeshNode(fabric.add_host("a"), new_secret(), *OFFLINE)
    drop_ipv4(node.host)
    node.host.ip("-6", "addr", "flush", "dev", "eth0", "scope", "global")
    node.start()
    node.wait_until_ready()
    wait_for(
        lambda: layer_detail(node, "lan").startswith("eth0: only link-local"), PATIENCE_S, "it says what is missing"
    )


def test_a_host_with_ipv6_switched_off_loses_nothing_and_logs_nothing_of_it(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret, *OFFLINE) for host in fabric.add_hosts(["a", "b"]))
    b.host.exec("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    assert layer_detail(b, "lan") == "on eth0"
    assert "lan interface not opened" not in b.running_process().output()
