"""Meshes of real nodes for the lab tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for
from wgmesh.v1 import node_service_pb2 as node_pb2

StartMesh = Callable[..., list[MeshNode]]

CONNECTED = node_pb2.PeerStatus.STATE_CONNECTED


def start_nodes(fabric: Fabric, names: Sequence[str], *flags: str, secret: str = "") -> list[MeshNode]:
    """Starts one node on each of some new machines and waits until all ping all."""
    chosen = secret or new_secret()
    nodes = [MeshNode(host, chosen, *flags) for host in fabric.add_hosts(names)]
    for node in nodes:
        node.start()
    wait_for_full_mesh(nodes)
    return nodes


def the_peer(node: MeshNode) -> node_pb2.PeerStatus:
    """The only peer of a node, once it is connected and measured. Raises TimedOut."""

    def measured() -> node_pb2.PeerStatus | None:
        peers = node.peers()
        ready = len(peers) == 1 and peers[0].state == CONNECTED and peers[0].HasField("round_trip_time")
        return peers[0] if ready else None

    return wait_for(measured, PATIENCE_S, f"{node.name} shows its peer connected and measured")


def is_whole(node: MeshNode, peers: int) -> bool:
    """Whether all its processes run, as it says itself, and it is connected with so many peers."""
    return node.cli("status").returncode == exits.OK and [each.state for each in node.peers()] == [CONNECTED] * peers


def is_useful(node: MeshNode, service: str, killed: int, peers: int) -> bool:
    """Whether a service has a new process, all services answer, and the node is connected with so many peers."""
    if node.service_pids().get(service, killed) == killed:
        return False
    status = node.status()
    if status is None or not all(each.connected for each in status.services):
        return False
    return [each.state for each in node.peers()] == [CONNECTED] * peers
