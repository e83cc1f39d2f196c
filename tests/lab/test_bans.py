"""The operator's word against a peer: real nodes, the command line, the device."""

from __future__ import annotations

import json

from support.lab.insider import Insider
from support.lab.meshes import CONNECTED, StartMesh
from support.lab.metrics_page import FLAGS, total
from support.lab.outsider import Outsider
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PublicKey
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode
from wgmesh.demo.waiting import wait_for

TELLER = "teller"


def has_peer(node: MeshNode, key: str) -> bool:
    return key in node.host.exec("wg", "show", "wg0", "peers")


def key_of(node: MeshNode, name: str) -> str:
    return str(json.loads(node.cli("peers", "get", name, "--json").stdout)["pubkey"])


def dropped_count(node: MeshNode) -> float:
    """How many words of banned peers were dropped."""
    return total(node, "wgmesh_discovery_rejected_datagrams_total", reason="banned")


def hear_of(node: MeshNode, key: str, fabric: Fabric) -> None:
    """Lets a new member tell a node of a peer, and waits until the node has heard that."""
    secret, hearer = Secret(node.secret_file.read_text().strip()), PublicKey(node.wait_until_ready().public_key)
    teller = Insider(secret)
    told = teller.describe(PublicKey.parse(key), hostname="b")
    payload = teller.describe(teller.public_key, hostname=TELLER, wg_endpoint="", known_peers=[told])
    with Outsider(fabric.add_host(TELLER)) as wire:
        message = teller.seal_to(hearer, "HELLO", teller.extended(payload))
        wire.send(message, str(node.host.ipv4), teller.keys.gossip_port)
        wait_for(lambda: has_peer(node, teller.public_key.text), PATIENCE_S, "a knows the teller")


def names(node: MeshNode) -> set[str]:
    return {peer.hostname for peer in node.peers()} - {TELLER}


def test_a_banned_peer_is_gone_within_two_seconds_and_across_restarts_and_comes_back(
    start_mesh: StartMesh, fabric: Fabric
) -> None:
    a, b, c = start_mesh("a b c", *FLAGS)
    wait_for(lambda: len(a.peers()) == 2, PATIENCE_S, "a knows both")
    key = key_of(a, "b")
    done = a.cli("peers", "ban", "b", "--reason", "stolen laptop")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: not has_peer(a, key), promised(2.0), "the device has dropped it")
    assert names(a) == {"c"}
    (ban,) = json.loads(a.cli("peers", "bans", "--json").stdout)["bans"]
    assert ban["pubkey"] == key and ban["reason"] == "stolen laptop"

    # it announces itself every few seconds, and others speak of it
    before = dropped_count(a)
    hear_of(a, key, fabric)
    wait_for(lambda: dropped_count(a) > before, 2 * PATIENCE_S, "a has heard the banned peer", poll_s=0.5)
    assert not has_peer(a, key) and has_peer(c, key)
    assert {peer.hostname for peer in c.peers() if peer.state == CONNECTED} >= {"b"}

    a.running_process().stop()
    a.start()
    a.wait_until_ready()
    wait_for(lambda: names(a) == {"c"}, PATIENCE_S, "after a restart only c is a peer")
    assert not has_peer(a, key)

    assert a.cli("peers", "unban", key).returncode == 0
    wait_for(lambda: has_peer(a, key), PATIENCE_S, "it is back")
    assert b.process is not None and b.process.running


def test_a_ban_of_nobody_or_of_oneself_is_refused_with_the_reason(start_mesh: StartMesh) -> None:
    a, _ = start_mesh("a b")
    own = json.loads(a.cli("status", "--json").stdout)["pubkey"]
    assert a.cli("peers", "ban", "nobody").returncode == 4
    refused = a.cli("peers", "ban", own)
    assert refused.returncode == 2 and "itself" in refused.stderr
    assert a.cli("peers", "unban", own).returncode != 0
