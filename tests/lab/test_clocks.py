"""Machines whose clocks are wrong, and meshes that live across the change of an hour."""

from __future__ import annotations

import json
import time

from support.lab.clocks import clock_off_by
from support.lab.layers import layer_detail
from support.lab.outsider import Wiretap
from support.lab.swarm import INTERNET, Swarm
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.core.keys.epoch_keys import HOUR_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

BEFORE_S = 8.0  # until the hour is over, when a test begins: time for one node to announce itself


def warnings(node: MeshNode) -> dict[str, str]:
    shown = node.cli("status", "--json")
    return {} if shown.returncode else {each["code"]: each["text"] for each in json.loads(shown.stdout)["warnings"]}


def test_a_machine_whose_clock_is_five_minutes_off_is_a_member_and_everybody_knows(fabric: Fabric) -> None:
    secret = new_secret()
    right = [MeshNode(host, secret, "--no-stun", "--no-dht") for host in fabric.add_hosts(["a", "b", "c"])]
    late = MeshNode(fabric.add_host("late"), secret, "--no-stun", "--no-dht", environment=clock_off_by(-300))
    for node in (*right, late):
        node.start()
    wait_for_full_mesh([*right, late])
    told = wait_for(lambda: warnings(late).get("clock-skew"), PATIENCE_S, "its operator is told")
    assert "behind" in told and "NTP" in told
    for node in right:
        told = wait_for(lambda node=node: warnings(node).get("peer-clock-skew"), PATIENCE_S, "the others are told")  # type: ignore[misc]
        assert "late" in told
        assert "clock-skew" not in warnings(node)


def test_a_machine_whose_clock_is_a_quarter_of_an_hour_off_is_alone_and_is_told_why(fabric: Fabric) -> None:
    secret = new_secret()
    a = MeshNode(fabric.add_host("a"), secret, "--no-stun", "--no-dht")
    late = MeshNode(fabric.add_host("late"), secret, "--no-stun", "--no-dht", environment=clock_off_by(900))
    with Wiretap(a.host) as tap:
        for node in (a, late):
            node.start()
        told = wait_for(lambda: warnings(late).get("clock-skew"), PATIENCE_S, "its operator is told")
        assert "ahead" in told and "NTP" in told
        wait_for(
            lambda: all(announced(node, tap) >= 3 for node in (a, late)),
            PATIENCE_S,
            "each has announced itself to the other again and again",
        )
    assert not late.peers() and not a.peers()


def announced(node: MeshNode, tap: Wiretap) -> int:
    """How often a node has announced itself to its LAN."""
    return len([each for each in tap.of_type("ANNOUNCE") if each.source == str(node.host.ipv4)])


def test_across_the_change_of_the_hour_members_find_each_other_in_the_dht(fabric: Fabric) -> None:
    """What a mesh is called in the DHT changes with the hour. One machine has been there before, one comes after."""
    fabric.add_lan("office")
    swarm = Swarm(fabric)
    fabric.add_router("router", ["lan", "office", INTERNET])
    swarm.start()
    secret, flags = new_secret(), ("--no-stun", "--dht-bootstrap", swarm.bootstrap)
    began_at, before_s = time.time(), promised(BEFORE_S)
    into_hour_s = HOUR_S - before_s - began_at % HOUR_S
    a, b = (
        MeshNode(fabric.add_host(name, lan), secret, *flags, environment=clock_off_by(into_hour_s))
        for name, lan in (("a", "lan"), ("b", "office"))
    )
    a.start()
    wait_for(lambda: "confirmed" in layer_detail(a, "dht"), before_s - 1, "the first announced itself before the hour")
    wait_for(lambda: time.time() > began_at + before_s + 1, before_s + 2, "the hour is over")
    b.start()
    wait_for_full_mesh([a, b])
