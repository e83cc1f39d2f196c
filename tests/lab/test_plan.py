"""What `wgmesh plan` says before the next turn does it: real nodes, and a hand that uses `ip`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

# The node looks at addresses and MTU every 30 s. A plan that is asked for at once is nearly always made before that.
# Where the look came first, the same is done again.
TRIES = 3
HEALED_S = 120.0  # twice the time between two looks

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


def test_what_a_hand_has_undone_is_planned_with_its_reason_and_then_done(nodes: list[MeshNode]) -> None:
    a, b = nodes
    address = a.wait_until_ready().mesh_ipv4
    held = next(each for each in addresses(a) if each.startswith(f"{address}/"))

    def undo() -> None:
        a.host.ip("addr", "del", held, "dev", "wg0")
        a.host.ip("link", "set", "wg0", "mtu", "1300")

    assert [(action["action"], action["what"], action["why"]) for action in planned_after(a, undo, 2)] == [
        ("set-mtu", "set MTU 1420", "It is 1300."),
        ("add-address", f"add address {held}", "The interface does not have it."),
    ]

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


def planned_after(node: MeshNode, undo: Callable[[], None], wanted: int) -> list[dict[str, Any]]:
    """The actions of a plan that is made right after so many things were undone on the device."""
    for _ in range(TRIES):
        wait_until_nothing_is_to_do(node)
        undo()
        outcome = node.cli("plan", "--json")
        assert outcome.returncode == 0, outcome.stderr
        actions: list[dict[str, Any]] = json.loads(outcome.stdout)["actions"]
        if len(actions) >= wanted:
            return actions
    raise AssertionError(f"the node has looked before the plan was made, {TRIES} times in a row")


def wait_until_nothing_is_to_do(node: MeshNode) -> None:
    wait_for(lambda: node.cli("plan").stdout.startswith(NOTHING), HEALED_S, "nothing is to do")


def addresses(node: MeshNode) -> list[str]:
    """The addresses of the device, as CIDR."""
    return [line.split()[3] for line in node.host.ip("-o", "addr", "show", "dev", "wg0").splitlines()]
