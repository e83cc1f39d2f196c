"""Meshes of real nodes: they find each other, and say so truthfully."""

from __future__ import annotations

import ipaddress
import json
import sys
import time
from functools import partial

import pytest
from support.lab.meshes import CONNECTED, StartMesh, the_peer
from support.lab.outsider import Captured, Outsider, Wiretap
from support.lab.witnesses import Way, wait_until_dealt_with
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for
from wgmesh.discovery.exchange.transactions import RESEND_AT_S


def test_two_nodes_ping_each_other_and_show_each_other(start_mesh: StartMesh) -> None:
    started_at = time.time()
    a, b = start_mesh("a b")
    seen = the_peer(a)
    assert seen.hostname == "b"
    assert seen.path == "direct-lan"
    assert seen.endpoint.host in (str(b.host.ipv4), str(b.host.ipv6))  # whichever they have met by first
    assert started_at - 1 < seen.handshake_time.ToSeconds() <= time.time()
    assert seen.round_trip_time.ToTimedelta().total_seconds() > 0

    status_b = b.wait_until_ready()
    by_wg = a.host.exec("wg", "show", "wg0", "endpoints")
    assert seen.endpoint.port == status_b.listen_port
    assert str(Endpoint.of(seen.endpoint.host, seen.endpoint.port)) in by_wg
    handshake = int(a.host.exec("wg", "show", "wg0", "latest-handshakes").split()[1])
    assert abs(handshake - seen.handshake_time.ToSeconds()) <= 130  # rekeyed in between at the most


def test_the_peers_command_shows_path_handshake_and_latency(start_mesh: StartMesh) -> None:
    a, b = start_mesh("a b")
    the_peer(a)
    table = a.cli("peers", "list")
    assert table.returncode == 0, table.stderr
    assert "b" in table.stdout
    assert "direct-lan" in table.stdout
    assert b.wait_until_ready().mesh_ipv4 in table.stdout
    listed = json.loads(a.cli("peers", "list", "--json").stdout)
    assert len(listed["peers"]) == 1
    key = listed["peers"][0]["pubkey"]
    for selector in (key, key[:6], "b", b.wait_until_ready().mesh_ipv4):
        found = a.cli("peers", "get", selector, "--json")
        assert found.returncode == 0, found.stderr
        assert json.loads(found.stdout)["pubkey"] == key
    assert a.cli("peers", "get", "nobody").returncode == 4
    counted = json.loads(a.cli("peers", "count", "--json").stdout)
    assert (counted["active"], counted["total"]) == (1, 1)


def test_three_nodes_become_a_full_mesh(start_mesh: StartMesh) -> None:
    nodes = start_mesh("a b c")
    wait_for(lambda: [len(node.peers()) for node in nodes] == [2, 2, 2], PATIENCE_S, "each node knows two peers")


def test_ten_nodes_become_a_full_mesh(start_mesh: StartMesh) -> None:
    nodes = start_mesh(" ".join(f"n{number}" for number in range(10)))
    status = wait_for(
        lambda: status if (status := nodes[0].status()) and status.active_peer_count == 9 else None,
        PATIENCE_S,
        "the first node has nine active peers",
    )
    assert status.total_peer_count == 9


def test_a_late_joiner_is_reached_by_all(fabric: Fabric) -> None:
    secret = new_secret()
    early = [MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"])]
    for node in early:
        node.start()
    wait_for_full_mesh(early)
    late = MeshNode(fabric.add_host("c"), secret)
    late.start()
    wait_for_full_mesh([*early, late], promised(30.0))


def test_a_custom_subnet_gives_addresses_inside_it(start_mesh: StartMesh) -> None:
    nodes = start_mesh("a b", "--mesh-subnet", "172.30.4.0/24")
    for node in nodes:
        status = node.wait_until_ready()
        assert ipaddress.ip_address(status.mesh_ipv4) in ipaddress.ip_network("172.30.4.0/24")
        assert status.mesh_subnet == "172.30.4.0/24"


def test_the_mesh_carries_ipv6(start_mesh: StartMesh) -> None:
    a, b = start_mesh("a b")
    status = b.wait_until_ready()
    assert ipaddress.ip_address(status.mesh_ipv6) in ipaddress.ip_network(status.mesh_ipv6_prefix)
    assert " 0% packet loss" in a.host.exec("ping", "-c", "5", "-i", "0.1", "-W", "2", status.mesh_ipv6)


def test_without_default_route_and_dns_nodes_meet_as_quickly(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"]))
    assert "default" not in a.host.exec("ip", "route")
    a.start()
    address = a.wait_until_ready().mesh_ipv4
    b.start()
    with Pinger([b.host]) as pinger:
        wait_for(lambda: pinger.ping([Target("b", address)], 0.2), promised(5.0), "the second node pings the first")


@pytest.mark.parametrize("has_dead_router", [False, True], ids=["no-router", "router-swallows-everything"])
def test_nodes_on_one_lan_show_each_other_within_a_second(fabric: Fabric, has_dead_router: bool) -> None:
    """Counted from the moment at which the second is ready; there is no DNS, and no STUN server answers."""
    secret = new_secret()
    a, b = (MeshNode(host, secret, "--stun", "203.0.113.9:3478") for host in fabric.add_hosts(["a", "b"]))
    for node in (a, b):
        if has_dead_router:
            swallow_everything(node.host)
        node.start()
        node.wait_until_ready()
    wait_for(
        lambda: [[peer.hostname for peer in node.peers()] for node in (a, b)] == [["b"], ["a"]],
        promised(1.0),
        "each lists the other",
    )


def swallow_everything(host: Host) -> None:
    """Gives a machine a default route to a router that answers nothing."""
    host.ip("route", "add", "default", "via", "192.168.77.1")
    host.ip("neigh", "add", "192.168.77.1", "lladdr", "02:00:00:00:00:01", "dev", "eth0")


def test_a_dead_stun_server_delays_nothing_and_is_reported(fabric: Fabric) -> None:
    secret = new_secret()
    hosts = fabric.add_hosts(["a", "b"])
    for host in hosts:
        swallow_everything(host)
    nodes = [MeshNode(host, secret, "--stun", "203.0.113.9:3478") for host in hosts]
    for node in nodes:
        node.start()
    wait_for_full_mesh(nodes, promised(8.0))
    status = nodes[0].wait_until_ready()
    assert status.nat.enabled
    assert not status.nat.HasField("external_endpoint")


def test_two_meshes_on_one_lan_never_meet_although_a_node_of_one_asks_the_other(fabric: Fabric) -> None:
    hosts = fabric.add_hosts(["r1", "r2", "b1", "b2"])
    secrets = ["red-" + new_secret()] * 2 + ["blue-" + new_secret()] * 2
    door = f"{hosts[2].ipv4}:{derive(Secret(secrets[2])).gossip_port}"
    flags = [("--peer", door), (), (), ()]
    nodes = [MeshNode(host, secret, *words) for host, secret, words in zip(hosts, secrets, flags, strict=True)]
    red, blue = nodes[:2], nodes[2:]
    with Wiretap(hosts[2]) as tap:
        for node in nodes:
            node.start()
        addresses = [wait_for_full_mesh(group) for group in (red, blue)]
        wait_for(lambda: len(asked_at(tap, door)) > len(RESEND_AT_S), PATIENCE_S, "red has asked blue again and again")
    with Outsider(fabric.add_host("witness")) as wire:
        for group, secret in ((red, secrets[0]), (blue, secrets[2])):
            own, mesh = {bytes(node.wait_until_ready().public_key) for node in group}, derive(Secret(secret))
            on_lan = Way(partial(wire.multicast, group=str(mesh.multicast_group), port=mesh.lan_port), "ANNOUNCE")
            for node in group:  # which has heard all that was announced on this LAN before the witness was
                own |= wait_until_dealt_with(node, secret, [on_lan])
                assert {peer.public_key for peer in node.peers()} <= own
    with Pinger([red[0].host]) as pinger:
        theirs = [Target("r1", address) for address in addresses[1].values()]
        ours = [Target("r1", address) for name, address in addresses[0].items() if name != "r1"]
        assert {target.address for target in pinger.ping(theirs + ours, 2.0)} == {each.address for each in ours}


def asked_at(tap: Wiretap, door: str) -> list[Captured]:
    """The HELLOs to an address."""
    return [seen for seen in tap.of_type("HELLO") if f"{seen.destination}:{seen.destination_port}" == door]


def test_two_meshes_on_one_machine_live_side_by_side(fabric: Fabric) -> None:
    hosts = fabric.add_hosts(["a", "b"])
    first, second = new_secret(), new_secret()
    one = [MeshNode(host, first) for host in hosts]
    two = [MeshNode(host, second, interface="wg1") for host in hosts]
    for node in (*one, *two):
        node.start()
    wait_for_full_mesh(one)
    wait_for_full_mesh(two)
    assert one[0].wait_until_ready().listen_port != two[0].wait_until_ready().listen_port


def test_a_node_whose_exchange_port_is_taken_says_where_it_listens_and_all_connect(fabric: Fabric) -> None:
    secret = new_secret()
    hosts = fabric.add_hosts(["a", "b", "c"])
    port = derive(Secret.parse(secret)).gossip_port
    bound = f"import socket, time; s = socket.socket(2, 2); s.bind(('0.0.0.0', {port})); print('bound', flush=True)"
    holder = hosts[0].spawn(sys.executable, "-c", f"{bound}; time.sleep(600)", name="holder")
    wait_for(lambda: "bound" in holder.output(), PATIENCE_S, "another program has the exchange port")
    nodes = [MeshNode(host, secret) for host in hosts]
    for node in nodes:
        node.start()
    wait_for(lambda: nodes[0].wait_until_ready().exchange_port != port, PATIENCE_S, "it says where it listens")
    assert [node.wait_until_ready().exchange_port == port for node in nodes[1:]] == [True, True]
    wait_for(
        lambda: all([peer.state for peer in node.peers()] == [CONNECTED] * 2 for node in nodes),
        PATIENCE_S,
        "each node is connected to the two others",
    )


@pytest.mark.parametrize("loss_percent", [20])
def test_a_lossy_lan_only_slows_the_meeting_down(fabric: Fabric, loss_percent: int) -> None:
    secret = new_secret()
    hosts = fabric.add_hosts(["a", "b"])
    for host in hosts:
        host.set_loss(loss_percent)
    nodes = [MeshNode(host, secret) for host in hosts]
    for node in nodes:
        node.start()
    wait_for_full_mesh(nodes)
