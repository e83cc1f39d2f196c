"""Machines whose clocks are wrong, and meshes that live across the change of an hour."""

from __future__ import annotations

import json
import time

from support.clocks import clock_off_by
from support.swarm import INTERNET, Swarm
from wgmesh.core.epoch_keys import HOUR_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

BEFORE_S = 8.0  # until the hour is over, when a test begins


def warnings(node: MeshNode) -> dict[str, str]:
    shown = node.cli("status", "--json")
    return {} if shown.returncode else {each["code"]: each["text"] for each in json.loads(shown.stdout)["warnings"]}


def test_a_machine_whose_clock_is_five_minutes_off_is_a_member_and_everybody_knows(fabric: Fabric) -> None:
    secret = new_secret()
    right = [MeshNode(host, secret, "--no-stun", "--no-dht") for host in fabric.add_hosts(["a", "b", "c"])]
    late = MeshNode(fabric.add_host("late"), secret, "--no-stun", "--no-dht", environment=clock_off_by(-300))
    for node in (*right, late):
        node.start()
    wait_for_full_mesh([*right, late], 20.0)
    told = wait_for(lambda: warnings(late).get("clock-skew"), 20.0, "its operator is told")
    assert "behind" in told and "NTP" in told
    for node in right:
        told = wait_for(lambda node=node: warnings(node).get("peer-clock-skew"), 20.0, "the others are told")  # type: ignore[misc]
        assert "late" in told
        assert "clock-skew" not in warnings(node)


def test_a_machine_whose_clock_is_a_quarter_of_an_hour_off_is_alone_and_is_told_why(fabric: Fabric) -> None:
    secret = new_secret()
    a = MeshNode(fabric.add_host("a"), secret, "--no-stun", "--no-dht")
    late = MeshNode(fabric.add_host("late"), secret, "--no-stun", "--no-dht", environment=clock_off_by(900))
    for node in (a, late):
        node.start()
    told = wait_for(lambda: warnings(late).get("clock-skew"), 30.0, "its operator is told")
    assert "ahead" in told and "NTP" in told
    assert not late.peers() and not a.peers()


def test_across_the_change_of_the_hour_members_find_each_other_in_the_dht(fabric: Fabric) -> None:
    """What a mesh is called in the DHT changes with the hour. One machine has been there before, one comes after."""
    fabric.add_lan("office")
    swarm = Swarm(fabric)
    fabric.add_router("router", ["lan", "office", INTERNET])
    swarm.start()
    secret, flags = new_secret(), ("--no-stun", "--dht-bootstrap", swarm.bootstrap)
    began_at = time.time()
    into_hour_s = HOUR_S - BEFORE_S - began_at % HOUR_S
    a, b = (
        MeshNode(fabric.add_host(name, lan), secret, *flags, environment=clock_off_by(into_hour_s))
        for name, lan in (("a", "lan"), ("b", "office"))
    )
    a.start()
    wait_for(lambda: "confirmed" in _dht_detail(a), BEFORE_S - 1, "the first announced itself before the hour")
    wait_for(lambda: time.time() > began_at + BEFORE_S + 1, BEFORE_S + 2, "the hour is over")
    b.start()
    wait_for_full_mesh([a, b], 10.0)


def _dht_detail(node: MeshNode) -> str:
    shown = node.cli("status", "--json")
    if shown.returncode:
        return ""
    return str(next(each for each in json.loads(shown.stdout)["layers"] if each["name"] == "dht")["detail"])
