"""The operator's word against a peer: real nodes, the command line, the device."""

from __future__ import annotations

import json
import time

from support.meshes import CONNECTED, StartMesh
from wgmesh.demo.nodes import MeshNode
from wgmesh.demo.waiting import wait_for


def has_peer(node: MeshNode, key: str) -> bool:
    return key in node.host.exec("wg", "show", "wg0", "peers")


def key_of(node: MeshNode, name: str) -> str:
    return str(json.loads(node.cli("peers", "get", name, "--json").stdout)["pubkey"])


def test_a_banned_peer_is_gone_within_two_seconds_and_across_restarts_and_comes_back(start_mesh: StartMesh) -> None:
    a, b, c = start_mesh("a b c")
    wait_for(lambda: len(a.peers()) == 2, 5.0, "a knows both")
    key = key_of(a, "b")
    banned_at = time.monotonic()
    done = a.cli("peers", "ban", "b", "--reason", "stolen laptop")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: not has_peer(a, key), 2.0, "the device has dropped it")
    assert time.monotonic() - banned_at < 2.0
    assert [peer.hostname for peer in a.peers()] == ["c"]
    (ban,) = json.loads(a.cli("peers", "bans", "--json").stdout)["bans"]
    assert ban["pubkey"] == key and ban["reason"] == "stolen laptop"

    # it announces itself every few seconds, and others speak of it
    time.sleep(6.0)
    assert not has_peer(a, key) and has_peer(c, key)
    assert {peer.hostname for peer in c.peers() if peer.state == CONNECTED} >= {"b"}

    a.running_process().stop()
    a.start()
    a.wait_until_ready()
    wait_for(lambda: [peer.hostname for peer in a.peers()] == ["c"], 5.0, "after a restart only c is a peer")
    assert not has_peer(a, key)

    assert a.cli("peers", "unban", key).returncode == 0
    wait_for(lambda: has_peer(a, key), 8.0, "it is back")
    assert b.process is not None and b.process.running


def test_a_ban_of_nobody_or_of_oneself_is_refused_with_the_reason(start_mesh: StartMesh) -> None:
    a, _ = start_mesh("a b")
    own = json.loads(a.cli("status", "--json").stdout)["pubkey"]
    assert a.cli("peers", "ban", "nobody").returncode == 4
    refused = a.cli("peers", "ban", own)
    assert refused.returncode == 2 and "itself" in refused.stderr
    assert a.cli("peers", "unban", own).returncode != 0
