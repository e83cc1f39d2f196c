"""A network behind a node, reached through the mesh."""

from __future__ import annotations

from support.lab.meshes import the_peer
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.waiting import wait_for


def test_a_host_behind_an_advertising_node_is_reached_through_the_tunnel(fabric: Fabric) -> None:
    """The gateway forwards, and the host behind it knows the way back: both are the operator's to set."""
    secret = new_secret()
    site = fabric.add_lan("site").network4
    gateway, b = fabric.add_hosts(["gateway", "b"])
    fabric.attach(gateway, "site")
    behind = fabric.add_host("behind", "site")
    gateway.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
    nodes = [MeshNode(gateway, secret, "--advertise-routes", str(site)), MeshNode(b, secret)]
    for node in nodes:
        node.start()
    mesh = nodes[0].wait_until_ready().mesh_subnet
    behind.ip("route", "add", mesh, "via", str(gateway.attachments[1].ipv4.ip))
    the_peer(nodes[1])
    wait_for(lambda: "dev wg0" in b.ip("route", "show", str(site)), PATIENCE_S, "the network is routed")
    before = sent_bytes(nodes[1])
    pinged = b.exec("ping", "-c", "5", "-i", "0.05", "-W", "2", str(behind.ipv4))
    assert " 0% packet loss" in pinged
    assert sent_bytes(nodes[1]) - before >= 5 * 84  # the size of a ping: it went by the tunnel, and by no other way

    nodes[0].running_process().stop()
    wait_for(lambda: b.ip("route", "show", str(site)) == "", PATIENCE_S, "the route goes with the node")
    assert b.attempt("ping", "-c", "1", "-W", "0.5", str(behind.ipv4)).returncode != 0


def sent_bytes(node: MeshNode) -> int:
    """What the device has sent to its only peer."""
    return int(node.host.exec("wg", "show", node.interface, "transfer").split()[2])
