"""`wgmesh ping` and `wgmesh down` on real nodes."""

from __future__ import annotations

import json
import signal

from support.lab.meshes import StartMesh
from support.waiting import PATIENCE_S
from wgmesh.demo.nodes import MeshNode
from wgmesh.demo.waiting import wait_for


def pings(node: MeshNode, selector: str, *flags: str) -> tuple[int, dict[str, object]]:
    done = node.cli("ping", selector, "--json", *flags)
    return done.returncode, json.loads(done.stdout)


def test_a_peer_is_pinged_through_the_tunnel_by_each_of_its_names(start_mesh: StartMesh) -> None:
    a, b = start_mesh("a b")
    status = b.wait_until_ready()
    key = json.loads(b.cli("status", "--json").stdout)["pubkey"]
    for selector in ("b", "B", key, key[:6], status.mesh_ipv4, status.mesh_ipv6):
        code, value = pings(a, selector, "-c", "2", "-n", "0.1")
        assert (code, value["pubkey"], value["received"]) == (0, key, 2), value
        if selector in (status.mesh_ipv4, status.mesh_ipv6):
            assert value["address"] == selector
    text = a.cli("ping", "b", "-c", "1")
    assert text.returncode == 0, text.stderr
    assert "answer from b (" in text.stdout


def test_a_peer_that_drops_echoes_is_pinged_all_the_same_and_one_that_is_dead_is_not(start_mesh: StartMesh) -> None:
    a, b = start_mesh("a b")
    b.host.exec("nft", "add table inet closed")
    b.host.exec("nft", "add chain inet closed in { type filter hook input priority 0; }")
    b.host.exec("nft", 'add rule inet closed in iifname "wg0" meta l4proto { icmp, ipv6-icmp } drop')
    code, value = pings(a, "b", "-c", "1", "-W", "10")
    assert (code, value["received"]) == (0, 1)
    assert [ping["by"] for ping in value["pings"]] == ["connection"]  # type: ignore[attr-defined]

    b.running_process().send(signal.SIGKILL)
    b.host.ip("link", "set", "eth0", "down")
    code, value = pings(a, "b", "-c", "2", "-n", "0.1", "-W", "0.5")
    assert (code, value["received"], value["loss_percent"]) == (1, 0, 100.0)


def test_down_stops_the_node_and_returns_when_nothing_of_it_is_left(start_mesh: StartMesh) -> None:
    a, b = start_mesh("a b")
    pids = a.service_pids()

    done = a.cli("down")

    assert (done.returncode, done.stdout, done.stderr) == (0, "Stopped\n", "")
    assert "wg0" not in a.host.ip("-o", "link")
    assert a.service_pids() == {}
    assert pids
    assert a.cli("down").returncode == 3
    assert wait_for(lambda: not a.running_process().running, PATIENCE_S, "it has ended")
    assert a.running_process().exit_code == 0
    wait_for(lambda: [peer.hostname for peer in b.peers()] in ([], ["a"]), PATIENCE_S, "the other goes on")
    a.start()  # nothing is in the way of another start
    a.wait_until_ready()
