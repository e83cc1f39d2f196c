"""What a node shows is what was observed, with its age; and that it cannot act is the first thing that it says."""

from __future__ import annotations

import json
import time

import pytest
from pages.faults import Observe, Observed
from support.lab import metrics_page
from support.lab.meshes import CONNECTED, StartMesh, start_nodes, the_peer
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for
from wgmesh.v1 import node_service_pb2 as node_pb2

SUSPECT_S = 20.0  # 15 s of silence, and two looks at the device
IDLE_SUSPECT_S = 75.0  # a probe comes within 36 s, and nobody else sends to an idle peer
ABLE_S = 10.0
FIRST_MINUTE_S = 60.0
FIRST_MINUTE_LINES = 8
SUSPECT = node_pb2.PeerStatus.STATE_SUSPECT


def health_line(node: MeshNode) -> tuple[int, str]:
    """How `wgmesh status` ends, and the first line below its title."""
    shown = node.cli("status")
    return shown.returncode, (shown.stdout.splitlines() + [""] * 3)[2]


@pytest.mark.fault("The device", "its key is replaced by hand")
def test_a_node_that_can_change_its_device_no_more_says_so_first_and_with_its_exit_code(
    fabric: Fabric, observe: Observe
) -> None:
    secret = new_secret()
    a = start_nodes(fabric, ["a", "b"], "--no-stun", "--no-dht", secret=secret)[0]
    c = MeshNode(fabric.add_host("c"), secret, "--no-stun", "--no-dht")
    the_peer(a)
    assert health_line(a) == (exits.OK, "Health: ok")
    assert json.loads(a.cli("status", "--json").stdout)["health"]["state"] == "ok"
    key = a.host.directory / "foreign.key"
    key.write_text(a.host.exec("wg", "genkey"))
    a.host.exec("wg", "set", "wg0", "private-key", str(key))
    since = time.monotonic()

    wait_for(lambda: health_line(a)[0] == exits.UNABLE, promised(15.0), "a says that it cannot do its work")
    observe(Observed(shown=f"`Health: failing` with exit code 6, after {time.monotonic() - since:.1f} s"))

    line = health_line(a)[1]
    assert line.startswith("Health: failing for "), line
    assert "which is not this node's" in line
    health = json.loads(a.cli("status", "--json").stdout)["health"]
    assert (health["state"], bool(health["since"]), bool(health["advice"])) == ("failing", True, True)
    listed = a.cli("peers", "list")
    assert listed.returncode == exits.UNABLE
    assert listed.stderr.startswith("warning: failing for ")
    c.start()
    c.wait_until_ready()
    wait_for(lambda: len(a.peers()) == 2, PATIENCE_S, "a names the newcomer that it cannot connect to")
    newcomer = next(peer for peer in a.peers() if peer.hostname == "c")
    assert newcomer.state == node_pb2.PeerStatus.STATE_CONNECTING
    assert "not on the device" in newcomer.reason

    a.host.ip("link", "del", "wg0")

    wait_for(lambda: health_line(a) == (exits.OK, "Health: ok"), PATIENCE_S, "a is able again")
    wait_for(lambda: all(peer.state == CONNECTED for peer in a.peers()), PATIENCE_S, "and has both peers")


def test_health_and_every_state_of_a_peer_are_on_the_metrics_page_from_the_start(fabric: Fabric) -> None:
    node = MeshNode(fabric.add_host("a"), new_secret(), "--no-stun", "--no-dht", *metrics_page.FLAGS)
    node.start()

    wait_for(lambda: metrics_page.total(node, "wgmesh_health", state="ok") == 1.0, PATIENCE_S, "the node is well")

    seen = {
        (each.name, each.labels["state"]): each.value for each in metrics_page.samples(node) if "state" in each.labels
    }
    assert seen == {("wgmesh_health", state): float(state == "ok") for state in ("ok", "degraded", "failing")} | {
        ("wgmesh_peers", state): 0.0 for state in ("connecting", "connected", "suspect", "stale", "refused")
    }


@pytest.mark.fault("Paths to peers", "a peer dies while it is sent to")
def test_a_peer_that_dies_under_traffic_is_suspect_soon_and_its_old_latency_is_gone(
    start_mesh: StartMesh, observe: Observe
) -> None:
    a, b = start_mesh("a b", "--no-stun", "--no-dht")
    before = the_peer(a)
    target = Target("a", b.wait_until_ready().mesh_ipv4)
    with Pinger([a.host]) as pinger:
        assert pinger.ping([target], 1.0)
        b.host.set_link(up=False)
        gone_at = time.time()

        def suspected() -> node_pb2.PeerStatus | None:
            pinger.ping([target], 0.1)
            (peer,) = a.peers()
            return peer if peer.state == SUSPECT else None

        peer = wait_for(suspected, promised(SUSPECT_S), "a suspects b")
        observe(Observed(shown=f"`suspect`, without its old latency, after {time.time() - gone_at:.1f} s"))
        assert not peer.HasField("round_trip_time"), before
        assert peer.prove_time.seconds <= gone_at + 2
        assert "not answered" in peer.reason
        assert json.loads(a.cli("peers", "list", "--json").stdout)["peers"][0]["state"] == "suspect"
        assert a.cli("status").returncode == exits.OK
        b.host.set_link(up=True)
        wait_for(
            lambda: pinger.ping([target], 0.2) and a.peers()[0].state == CONNECTED, PATIENCE_S, "b is connected again"
        )


@pytest.mark.fault("Paths to peers", "a peer dies while nobody sends to it")
def test_a_peer_that_dies_while_nobody_sends_to_it_is_suspect_after_the_next_probe(
    start_mesh: StartMesh, observe: Observe
) -> None:
    a, b = start_mesh("a b", "--no-stun", "--no-dht")
    the_peer(a)
    b.host.set_link(up=False)
    since = time.monotonic()

    wait_for(lambda: a.peers()[0].state == SUSPECT, promised(IDLE_SUSPECT_S), "a suspects b")
    observe(Observed(shown=f"`suspect` after {time.monotonic() - since:.1f} s"))

    shown = a.cli("peers", "get", "b").stdout
    assert "State: suspect (" in shown


def test_a_peer_that_answers_neither_probe_nor_ping_is_no_suspect_for_that(start_mesh: StartMesh) -> None:
    """Its device answers: WireGuard confirms what came."""
    a, b = start_mesh("a b", "--no-stun", "--no-dht")
    the_peer(a)
    b.host.nft(
        'table inet deaf { chain in { type filter hook input priority 0; iifname "wg0" counter drop\n}\n'
        ' chain out { type filter hook output priority 0; oifname "wg0" counter drop\n}\n}\n'
    )
    target = Target("a", b.wait_until_ready().mesh_ipv4)
    seen = set()
    until = time.monotonic() + 40.0
    with Pinger([a.host]) as pinger:
        while time.monotonic() < until:
            assert not pinger.ping([target], 0.2)
            seen.add(a.peers()[0].state)
    assert seen == {CONNECTED}


def test_the_first_minute_of_a_healthy_mesh_is_a_handful_of_lines_each_worth_reading(fabric: Fabric) -> None:
    began_at = time.monotonic()
    a, b = start_nodes(fabric, ["a", "b"])
    the_peer(a)
    wait_for(lambda: time.monotonic() - began_at >= FIRST_MINUTE_S, 2 * FIRST_MINUTE_S, "the first minute is over")

    for node, other in ((a, b), (b, a)):
        lines = node.running_process().output().splitlines()
        assert len(lines) <= FIRST_MINUTE_LINES, "\n".join(lines)
        (connected,) = [line for line in lines if "peer connected" in line]
        assert f"hostname={other.name}" in connected
        assert f"address={other.wait_until_ready().mesh_ipv4}" in connected
        assert any("node ready" in line for line in lines)


def test_the_log_names_a_peer_when_it_falls_silent_and_when_it_leaves(start_mesh: StartMesh) -> None:
    a, b, c = start_mesh("a b c", "--no-stun", "--no-dht")
    address = c.wait_until_ready().mesh_ipv4
    b.host.set_link(up=False)
    c.running_process().stop()

    def said(event: str, who: str) -> list[str]:
        return [
            line for line in a.running_process().output().splitlines() if event in line and f"hostname={who}" in line
        ]

    wait_for(lambda: said("peer left", "c"), PATIENCE_S, "a says that c has left")
    assert f"address={address}" in said("peer left", "c")[0]
    wait_for(lambda: said("peer suspect", "b"), promised(IDLE_SUSPECT_S), "a says that b is silent")
    assert len(said("peer connected", "b")) == len(said("peer suspect", "b")) == 1
