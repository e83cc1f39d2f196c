"""`wgmesh test-peer` against running nodes: asked by a machine of its own, and asked by a node."""

from __future__ import annotations

import json
import subprocess
from functools import partial

from support.lab.meshes import StartMesh, the_peer
from support.lab.outsider import Outsider
from support.lab.witnesses import Way, wait_until_dealt_with
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret, program
from wgmesh.demo.waiting import wait_for


def test_a_machine_without_a_node_asks_a_running_one_and_stays_unknown(start_mesh: StartMesh, fabric: Fabric) -> None:
    a, _ = start_mesh("a b")
    the_peer(a)
    outsider = fabric.add_host("outsider")
    secret = a.secret_file.read_text()
    for address in (str(a.host.ipv4), str(a.host.ipv6)):
        asked = ask_alone(outsider, secret, address)
        assert asked.returncode == 0, asked.stderr
        answer = json.loads(asked.stdout)
        assert answer["hostname"] == "a"
        assert answer["mesh_ip"] == a.wait_until_ready().mesh_ipv4
        own = f"[{outsider.ipv6}]" if ":" in address else f"{outsider.ipv4}"
        assert answer["observed_endpoint"].rpartition(":")[0] == own
    with Outsider(outsider) as wire:
        port = a.wait_until_ready().exchange_port
        to_a = Way(partial(wire.send, destination=str(a.host.ipv4), port=port))
        witnesses = wait_until_dealt_with(a, secret.strip(), [to_a])
    assert [peer.hostname for peer in a.peers() if peer.public_key not in witnesses] == ["b"]


def test_a_wrong_secret_gets_no_answer(start_mesh: StartMesh, fabric: Fabric) -> None:
    (a,) = start_mesh("a")
    asked = ask_alone(fabric.add_host("outsider"), new_secret(), f"{a.host.ipv4}:{a.wait_until_ready().exchange_port}")
    assert asked.returncode == 1
    assert "no answer from" in asked.stderr


def test_a_node_that_asks_another_makes_its_acquaintance(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret, "--no-lan-discovery") for host in fabric.add_hosts(["a", "b"]))
    for node in (a, b):
        node.start()
    for node in (a, b):
        node.wait_until_ready()
    assert not a.peers() and not b.peers()
    asked = a.cli("test-peer", "--peer", str(b.host.ipv4), "--json")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["hostname"] == "b"
    wait_for(lambda: a.peers() and b.peers(), PATIENCE_S, "each knows the other")


def ask_alone(host: Host, secret: str, address: str) -> subprocess.CompletedProcess[str]:
    """The command on a machine without a node."""
    secret_file = host.directory / "asked.secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret)
    flags = ("--secret-file", str(secret_file), "--timeout", "3", "--json")
    return host.attempt(program(), "test-peer", "--peer", address, *flags)
