"""A state directory on two machines, as after the restore of a backup or the copy of a virtual machine."""

from __future__ import annotations

import json
import shutil

from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for


def test_both_machines_and_their_peers_are_told(fabric: Fabric) -> None:
    secret = new_secret()
    a, original, copy = (MeshNode(host, secret, "--no-stun", "--no-dht") for host in fabric.add_hosts(["a", "b", "b2"]))
    for node in (a, original):
        node.start()
    wait_for_full_mesh([a, original])
    copy.host.state_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy2(original.state_file, copy.state_file)
    copy.start()
    for node, code in ((original, "duplicate-identity"), (copy, "duplicate-identity"), (a, "duplicate-peer")):
        _wait_until_told(node, code, "identity")
    # A peer's word that the key is there twice may come first; the next announcement of the other machine says where.
    for node, other in ((original, copy), (copy, original)):
        _wait_until_told(node, "duplicate-identity", str(other.host.ipv4))

    copy.running_process().stop()
    copy.state_file.unlink()
    copy.start()
    wait_for_full_mesh([a, original, copy])


def _wait_until_told(node: MeshNode, code: str, words: str) -> None:
    wait_for(lambda: words in _warnings(node).get(code, ""), 2 * PATIENCE_S, f"{node.name} tells {code} with {words}")


def _warnings(node: MeshNode) -> dict[str, str]:
    shown = node.cli("status", "--json")
    return {} if shown.returncode else {each["code"]: each["text"] for each in json.loads(shown.stdout)["warnings"]}
