"""Names of hosts: what others are told, when the name changes, and how a peer is selected by it."""

from __future__ import annotations

import json
import subprocess

from support.lab.meshes import StartMesh, the_peer
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

TOLD_S = 60.0


def set_host_name(node: MeshNode, name: str) -> None:
    """As hostnamectl does, in the UTS namespace of the node alone."""
    enter = ["nsenter", "--target", str(node.running_process().pid), "--uts"]
    subprocess.run([*enter, "sh", "-c", 'echo "$1" >/proc/sys/kernel/hostname', "sh", name], check=True)


def test_a_host_name_that_changes_is_told_to_others_within_a_minute(start_mesh: StartMesh) -> None:
    a, b = start_mesh("a b")
    assert the_peer(b).hostname == "a"

    set_host_name(a, "büro 2")

    wait_for(
        lambda: [peer.hostname for peer in b.peers()] == ["buro-2"], promised(TOLD_S), "the other has the new name"
    )
    for selector in ("buro-2", "BURO-2", "Büro 2"):
        assert b.cli("peers", "get", selector).returncode == 0
    assert json.loads(a.cli("status", "--json").stdout)["hostname"] == "buro-2"


def test_a_name_that_was_chosen_stays_when_the_hosts_name_changes(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"]))
    a.flags = ("--hostname", "büro")
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    assert "warning: the host name 'büro' is told to others as 'buro'" in a.running_process().output()

    for node in (a, b):
        set_host_name(node, "other")

    wait_for(lambda: [peer.hostname for peer in a.peers()] == ["other"], promised(TOLD_S), "b has another name")
    wait_for(lambda: the_peer(b).hostname == "buro", PATIENCE_S, "a has its own still")
