"""What `wgmesh plan` says before the next turn does it: real nodes, and a hand that uses `ip`."""

from __future__ import annotations

import json

import pytest
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

HEALED_S = 120.0  # twice the longest pause before something that others undo is done again

NOTHING = "The device is as it should be.\n"


@pytest.fixture
def nodes(fabric: Fabric) -> list[MeshNode]:
    """Two nodes on one LAN. The second offers that LAN, which the first is attached to itself and must refuse."""
    secret = new_secret()
    one, other = fabric.add_hosts(["a", "b"])
    made = [
        MeshNode(one, secret),
        MeshNode(other, secret, "--advertise-routes", str(other.attachments[0].ipv4.network)),
    ]
    for node in made:
        node.start()
    wait_for_full_mesh(made)
    return made


def test_what_others_have_undone_is_planned_with_its_reason_and_then_done(nodes: list[MeshNode]) -> None:
    """By a program that does it again and again: what is undone once is back before anybody can ask for a plan."""
    a, b = nodes
    address, mesh = a.wait_until_ready().mesh_ipv4, a.wait_until_ready().mesh_subnet
    held = next(each for each in addresses(a) if each.startswith(f"{address}/"))

    undoing = f"while true; do ip addr del {held} dev wg0; ip link set wg0 mtu 1300; sleep 0.01; done 2>/dev/null"
    undoer = a.host.spawn("sh", "-c", undoing, name="undoer")

    expected = [
        ("set-mtu", "set MTU 1420", "It is 1300."),
        ("add-address", f"add address {held}", "The interface does not have it."),
        ("add-mesh-route", f"add route {mesh} to the mesh", "The host does not route it into the tunnel."),
    ]
    wait_for(lambda: planned(a) == expected, PATIENCE_S, "the plan has both")
    undoer.stop()

    wait_for(lambda: held in addresses(a), HEALED_S, "the node has done it")
    assert "mtu 1420" in a.host.ip("link", "show", "wg0")
    wait_until_nothing_is_to_do(a)
    wait_for_full_mesh([a, b])


def test_a_refused_route_is_in_every_plan_with_the_reason_and_nothing_is_to_do(nodes: list[MeshNode]) -> None:
    a, _ = nodes
    lan = str(a.host.attachments[0].ipv4.network)
    wait_until_nothing_is_to_do(a)

    text, value = a.cli("plan"), json.loads(a.cli("plan", "--json").stdout)

    assert (text.returncode, text.stderr) == (0, "")
    (refused,) = value["refused_routes"]
    assert (value["problems"], value["actions"], refused["network"]) == ([], [], lan)
    assert f"  {lan} from {refused['pubkey'][:8]}: {refused['reason']}" in text.stdout.splitlines()
    assert refused["reason"] == f"It overlaps {lan}, which is connected to eth0."


def planned(node: MeshNode) -> list[tuple[str, str, str]]:
    """What a plan would do, and why."""
    outcome = node.cli("plan", "--json")
    assert outcome.returncode == 0, outcome.stderr
    return [(action["action"], action["what"], action["why"]) for action in json.loads(outcome.stdout)["actions"]]


def wait_until_nothing_is_to_do(node: MeshNode) -> None:
    wait_for(lambda: node.cli("plan").stdout.startswith(NOTHING), HEALED_S, "nothing is to do")


def addresses(node: MeshNode) -> list[str]:
    """The addresses of the device, as CIDR."""
    return [line.split()[3] for line in node.host.ip("-o", "addr", "show", "dev", "wg0").splitlines()]
