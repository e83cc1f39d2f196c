"""Any process may be killed at any instant: the tunnels carry on, and what was killed is back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from pages.faults import Observe, Observed
from support.lab.discovered import discovered
from support.lab.meshes import CONNECTED, is_useful, start_nodes, the_peer
from support.lab.pings import RunningPing
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import SERVICES, MeshNode, new_secret
from wgmesh.demo.waiting import wait_for

BACK_S = 2.0  # what the project promises after kill -9 of a service
ORPHANS_S = 3.0  # and after kill -9 of the supervisor


@pytest.fixture(scope="module")
def pair() -> Iterator[list[MeshNode]]:
    """Two connected nodes that all the kills of this module hit one after another."""
    with Fabric() as fabric:
        yield start_nodes(fabric, ["a", "b"], "--metrics", "127.0.0.1:9090")


@pytest.mark.fault("Processes of the node", "a service is killed with SIGKILL")
@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_is_back_and_useful_and_no_packet_is_lost(
    pair: list[MeshNode], name: str, observe: Observe
) -> None:
    a, b = pair
    the_peer(a)
    port = a.wait_until_ready().listen_port
    with RunningPing(b.host, a.wait_until_ready().mesh_ipv4) as ping:
        killed = a.kill_service(name)
        killed_at = time.monotonic()
        wait_for(lambda: is_useful(a, name, killed, peers=1), promised(BACK_S), f"{name} is back and useful")
        recovered_s = time.monotonic() - killed_at
    observe(Observed(len(ping.lost), recovered_s))
    assert ping.lost == []
    assert a.wait_until_ready().listen_port == port
    assert a.running_process().running


def test_a_service_that_is_killed_again_and_again_comes_back(pair: list[MeshNode]) -> None:
    a, _ = pair
    for _ in range(3):
        before = a.service_pids()["discovery"]
        os.kill(before, signal.SIGKILL)
        wait_for(lambda before=before: a.service_pids().get("discovery", before) != before, PATIENCE_S, "a new process")  # type: ignore[misc]
    wait_for(lambda: len(a.peers()) == 1 and a.peers()[0].state == CONNECTED, PATIENCE_S, "the peer is connected")


def test_each_new_life_of_discovery_knows_the_peer_within_two_seconds(fabric: Fabric) -> None:
    """Counted from the new process: before it the supervisor waits, longer with each crash in a row, up to 2 s here."""
    a, _ = start_nodes(fabric, ["a", "b"])
    the_peer(a)
    for _ in range(5):
        killed = a.kill_service("discovery")
        wait_for(lambda killed=killed: a.service_pids().get("discovery", killed) != killed, PATIENCE_S, "a new process")  # type: ignore[misc]
        wait_for(lambda: discovered(a) == {"b"}, promised(BACK_S), "the new discovery has heard from the peer")
        wait_for(
            lambda: [peer.state for peer in a.peers()] == [CONNECTED], promised(BACK_S), "it is listed as connected"
        )


@pytest.mark.fault("Processes of the node", "the supervisor is killed with SIGKILL, and started again by hand")
def test_a_killed_supervisor_leaves_no_service_and_no_gap(fabric: Fabric, observe: Observe) -> None:
    a, b = start_nodes(fabric, ["a", "b"], "--metrics", "127.0.0.1:9090")
    the_peer(a)
    before = a.wait_until_ready()
    services = set(a.service_pids().values())
    assert len(services) == len(SERVICES)
    with RunningPing(b.host, before.mesh_ipv4) as ping:
        a.running_process().kill()
        wait_for(lambda: not services & set(a.host.pids()), promised(ORPHANS_S), "no service is left")
        sent = max(ping.answered())
        wait_for(lambda: max(ping.answered()) > sent + 20, PATIENCE_S, "the tunnel carries on without a service")
        a.start()
        after = a.wait_until_ready()
        wait_for(lambda: a.peers() and a.peers()[0].state == CONNECTED, PATIENCE_S, "the new start knows its peer")
    observe(Observed(len(ping.lost)))
    assert ping.lost == []
    assert after.listen_port == before.listen_port
    assert after.public_key == before.public_key


def test_a_second_start_is_refused_and_disturbs_nothing(fabric: Fabric) -> None:
    a, b = start_nodes(fabric, ["a", "b"])
    services = a.service_pids()
    with RunningPing(b.host, a.wait_until_ready().mesh_ipv4) as ping:
        second = a.host.attempt(*a.join_argv())
        assert a.status() is not None
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert "wg0" in second.stderr
    assert len(second.stderr.strip().splitlines()) <= 2
    assert ping.lost == []
    assert a.service_pids() == services


def network_of(node: MeshNode) -> str:
    """All that a node could have changed on its machine."""
    commands = (
        "ip -details -oneline link",
        "ip -oneline addr",
        "ip route show table all",
        "ip -6 route show table all",
        "ip rule",
        "ip -6 rule",
        "nft list ruleset",
        "grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/ip_forward; true",
    )
    return "\n".join(node.host.exec("sh", "-c", command) for command in commands)


def test_an_orderly_stop_leaves_the_machine_as_found_and_tells_the_peers(fabric: Fabric) -> None:
    a, b = start_nodes(fabric, ["a", "b"], "--advertise-routes", "172.20.1.0/24")
    c = MeshNode(fabric.add_host("c"), "")
    c.secret_file.write_text(a.secret_file.read_text())
    before = network_of(c)
    c.start()
    wait_for(
        lambda: len(a.peers()) == 2 and all(peer.state == CONNECTED for peer in a.peers()), PATIENCE_S, "c is a member"
    )
    assert network_of(c) != before

    assert c.running_process().stop() == 0
    assert network_of(c) == before
    assert c.host.pids() == []
    wait_for(lambda: len(a.peers()) == 1 and len(b.peers()) == 1, PATIENCE_S, "the others have dropped c")


def test_a_node_that_is_stopped_as_soon_as_it_is_listed_is_dropped_each_time(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"]))
    a.start()
    a.wait_until_ready()
    for _ in range(4):
        b.start()
        wait_for(lambda: a.peers(), PATIENCE_S, "the newcomer is listed, also within the second of its last goodbye")
        assert b.running_process().stop() == 0
        wait_for(lambda: not a.peers(), PATIENCE_S, "it is dropped")


def test_a_restart_keeps_key_and_address(fabric: Fabric) -> None:
    a, _ = start_nodes(fabric, ["a", "b"])
    before = a.wait_until_ready()
    a.running_process().stop()
    a.start()
    after = a.wait_until_ready()
    assert (after.public_key, after.mesh_ipv4, after.mesh_ipv6) == (
        before.public_key,
        before.mesh_ipv4,
        before.mesh_ipv6,
    )
    the_peer(a)


def test_with_keep_interface_a_restart_loses_nothing(fabric: Fabric) -> None:
    """Also where it takes longer than a peer would wait after a GOODBYE (2 s)."""
    a, b = start_nodes(fabric, ["a", "b"], "--keep-interface")
    the_peer(b)
    with RunningPing(b.host, a.wait_until_ready().mesh_ipv4) as ping:
        assert a.running_process().stop() == 0
        sent = max(ping.answered())
        wait_for(
            lambda: max(ping.answered()) > sent + 150, PATIENCE_S, "three more seconds of answers from the kept tunnel"
        )
        assert [peer.state for peer in b.peers()] == [CONNECTED]
        a.start()
        a.wait_until_ready()
        the_peer(a)
    assert ping.lost == []


def test_a_cable_pulled_and_plugged_heals_by_itself(fabric: Fabric) -> None:
    a, b = start_nodes(fabric, ["a", "b"])
    address = b.wait_until_ready().mesh_ipv4
    a.host.set_link(up=False)
    a.host.set_link(up=True)
    a.host.ip("addr", "replace", f"{a.host.attachments[0].ipv6}", "dev", "eth0", "nodad")
    a.host.exec("ping", "-c", "1", "-W", "10", address)
