"""The clock of a host is set while discovery runs: what hangs on it follows, and nothing else does."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.discovery.discovery_wire import Node, Swarm, Wire, kind, prove
from support.discovery.membership_scene import FRESH_REVISION, NOW, Scene, at, key, mesh_ip, native
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.wire.member_record import MemberRecord
from wgmesh.discovery.dht import Announce, LookUp
from wgmesh.discovery.dht_schedule import AFTER_THE_HOUR_S
from wgmesh.discovery.diagnosis.notices import REFRESH_S
from wgmesh.discovery.events import DHT, EXCHANGE, LAN
from wgmesh.discovery.mainline.schedule import LAST_HOUR_S
from wgmesh.discovery.members.tombstones import TOMBSTONE_S, Departure
from wgmesh.discovery.messages.authentication import REQUIRED_S
from wgmesh.discovery.messages.replay import Stamp

FAST_S = 3600.0
LAN_TURN_S = 6.0  # a LAN hears from each node every five seconds
JUMPS = [-3600.0, 3600.0, -86400.0, 86400.0, 87_660 * 3600.0]


def set_clock(wire: Wire, node: Node, ahead_s: float) -> float:
    """Sets a node's clock, `ahead_s` ahead of what it began with. Returns by how much it jumped."""
    jump_s = node.core.set_clock(ahead_s, wire.now + node.skew_s)
    wire.settle()
    return jump_s


def codes(node: Node) -> set[str]:
    return {each.code for each in node.core.snapshot().notices}


def test_a_node_that_started_an_hour_fast_is_a_member_as_soon_as_its_clock_is_right() -> None:
    wire = Wire()
    others = [wire.add(f"192.168.1.{number}") for number in (1, 2)]
    fast = wire.add("192.168.1.4", skew_s=FAST_S)
    wire.advance(60.0)
    assert fast.peers() == {} and "clock-skew" in codes(fast)
    assert all("refused-clock" in codes(other) for other in others)

    assert set_clock(wire, fast, -FAST_S) == -FAST_S
    wire.advance(LAN_TURN_S)

    assert set(fast.peers()) == {other.key for other in others}
    assert all(fast.key in other.peers() for other in others)
    wire.advance(2 * REFRESH_S)
    assert [codes(node) for node in (fast, *others)] == [set(), set(), set()]


@pytest.mark.parametrize("jump_s", JUMPS)
def test_a_clock_that_is_set_and_set_right_again_costs_no_peer_and_no_message(jump_s: float) -> None:
    wire = Wire()
    others = [wire.add(f"192.168.1.{number}") for number in (1, 2)]
    node = wire.add("192.168.1.4")
    wire.advance(60.0)
    for ahead_s in (jump_s, 0.0):
        set_clock(wire, node, ahead_s)
        wire.advance(60.0)
        assert len(node.peers()) == 2 and all(node.key in other.peers() for other in others)
    before = [len(each.rejections()) for each in (node, *others)]
    wire.advance(300.0)
    assert [len(each.rejections()) for each in (node, *others)] == before
    assert all(codes(each) == set() for each in (node, *others))


@pytest.mark.parametrize("jump_s", JUMPS)
def test_a_peer_with_a_working_tunnel_outlives_a_wrong_clock_that_keeps_everybody_from_being_heard(
    jump_s: float,
) -> None:
    wire = Wire()
    node, peer = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(10.0)
    set_clock(wire, node, jump_s)
    for _ in range(60):
        prove(wire, node, peer)
        wire.advance(30.0)
    assert set(node.peers()) == {peer.key}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(-4e8, 4e8), st.floats(0.1, 40.0)), min_size=1, max_size=6))
def test_timers_go_on_whatever_is_done_to_the_clock(steps: list[tuple[float, float]]) -> None:
    wire = Wire()
    node = wire.add("192.168.1.1")
    aheads = accumulate(jump_s for jump_s, _ in steps)
    for ahead_s, (_, wait_s) in zip(aheads, steps, strict=True):
        wire.advance(wait_s)
        set_clock(wire, node, ahead_s)
        before = len([each for each in node.sent if kind(each) == "ANNOUNCE"])
        wire.advance(2 * LAN_TURN_S)
        assert len([each for each in node.sent if kind(each) == "ANNOUNCE"]) > before


@pytest.mark.parametrize("jump_s", JUMPS)
def test_what_is_said_after_the_clock_was_set_is_newer_than_what_was_said_before(jump_s: float) -> None:
    """Others keep the record with the highest revision, and of two with one revision the one that is dated later."""
    wire = Wire()
    node, peer = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(10.0)
    told = [revision_of(node, peer)]
    for ahead_s in (jump_s, 0.0):
        set_clock(wire, node, ahead_s)
        wire.advance(60.0)
        set_clock(wire, node, 0.0)
        wire.advance(60.0)
        told.append(revision_of(node, peer))
    assert told[0] < told[1] <= told[2]


def revision_of(node: Node, peer: Node) -> int:
    """What a peer knows of a node."""
    record = peer.core.table.get(node.key)
    assert record is not None
    return record.facts.revision


@pytest.mark.parametrize("ahead_s", [FAST_S, FAST_S + LAST_HOUR_S, -FAST_S, 86400.0, -86400.0])
def test_the_dht_is_asked_by_the_hours_of_the_clock_as_it_stands(ahead_s: float) -> None:
    wire = Wire()
    wire.swarm = swarm = Swarm()
    node = wire.add("192.168.1.1", lan=False, dht=True)
    wire.advance(5.0)
    began_with = looked_up(swarm)

    set_clock(wire, node, ahead_s)
    wire.advance(5.0)
    assert looked_up(swarm) != began_with

    swarm.requests.clear()
    set_clock(wire, node, 0.0)
    wire.advance(5.0)
    assert looked_up(swarm) == began_with
    wire.advance(AFTER_THE_HOUR_S)  # where the clock seems to have come to a new hour
    if ahead_s != FAST_S:  # an hour that has only just ended is still announced, so what was said of it stands
        announced = {each.infohash for each in swarm.requests if isinstance(each, Announce)}
        assert began_with[0] in announced, "what seemed to be over is announced again"


def looked_up(swarm: Swarm) -> list[bytes]:
    """The names of the mesh in the last two requests: this hour's and the last one's."""
    return [each.infohash for each in swarm.requests if isinstance(each, LookUp)][-2:]


def test_what_a_person_reads_of_the_layers_is_dated_by_the_clock_as_it_stands() -> None:
    wire = Wire()
    wire.swarm = Swarm()
    node = wire.add("192.168.1.1", dht=True)
    node.core.set_static([Endpoint.parse("192.0.2.9:51830")], wire.now)
    wire.advance(150.0)
    before = times_of_day(node)
    assert set(before) >= {LAN, EXCHANGE, DHT}

    set_clock(wire, node, 5 * 3600.0)
    wire.advance(1.0)

    later = times_of_day(node)
    assert all((later[name] - at - 5 * 3600.0) % 86400.0 < 300.0 for name, at in before.items()), (before, later)


def times_of_day(node: Node) -> dict[str, float]:
    """The first time of day that each layer's row names, in seconds."""
    details = {
        layer.name: re.search(r"(\d\d):(\d\d):(\d\d) UTC", layer.detail) for layer in node.core.snapshot().layers
    }
    return {
        name: sum(int(part) * worth for part, worth in zip(found.groups(), (3600, 60, 1), strict=True))
        for name, found in details.items()
        if found
    }


def test_a_record_from_before_a_departure_stays_so_when_the_clock_is_set() -> None:
    scene = Scene(wall=WallClock(FAST_S))
    scene.say(native(1), Stamp(int(NOW + FAST_S), b"boot-one", 1))
    scene.members.depart(key(1), Departure.SILENT, NOW)

    scene.wall.set(0.0)

    scene.members.learn_member_record(record_of(1, NOW - 60.0), NOW + 1.0)
    assert scene.members.table.get(key(1)) is None
    scene.members.learn_member_record(record_of(1, NOW + 60.0), NOW + TOMBSTONE_S)
    assert scene.members.table.get(key(1)) is not None


def record_of(number: int, issued_at: float) -> MemberRecord:
    return MemberRecord(key(number), mesh_ip(number), int(issued_at), FRESH_REVISION, (at(number),))


@pytest.mark.parametrize("jump_s", JUMPS)
def test_the_cache_is_written_by_the_clock_as_it_stands(jump_s: float) -> None:
    wire = Wire()
    node, peer = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(10.0)
    set_clock(wire, node, jump_s)
    (written,) = node.core.cached_peers(wire.now)
    assert written.public_key == peer.key
    assert written.last_seen == pytest.approx(wire.now + jump_s, abs=11.0)
    assert written.possession_at == pytest.approx(wire.now + jump_s, abs=11.0)


def test_a_proof_in_a_file_that_a_fast_clock_has_written_lasts_no_longer_than_others() -> None:
    scene = Scene()
    (cached,) = cached_peers_of(1)
    scene.members.restore(replace(cached, possession_at=int(NOW + 10 * REQUIRED_S)), NOW)
    assert scene.members.possessions.are_required_of(key(1), NOW)
    assert not scene.members.possessions.are_required_of(key(1), NOW + REQUIRED_S + 1.0)


def cached_peers_of(number: int) -> list[CachedPeer]:
    scene = Scene()
    scene.say(native(number))
    return scene.members.cached_peers(NOW)


def test_old_entries_of_the_cache_are_forgotten_only_by_a_clock_that_others_bear_out() -> None:
    wire = Wire()
    node = wire.add("192.168.1.1")
    assert not node.core.is_clock_confirmed(wire.now)
    wire.add("192.168.1.2")
    wire.advance(60.0)
    assert node.core.is_clock_confirmed(wire.now)
    set_clock(wire, node, 87_660 * 3600.0)
    assert not node.core.is_clock_confirmed(wire.now)


@pytest.mark.parametrize("is_proven", [True, False])
def test_what_was_recorded_is_no_news_when_the_clock_is_set_back_to_that_moment(is_proven: bool) -> None:
    """The memory of what was said has forgotten it by then. Its sender has counted on."""
    wire = Wire(agrees=is_proven)
    node, peer = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(10.0)
    recorded = [transmit for transmit in peer.sent if transmit.channel or transmit.to == node.address]
    for _ in range(120):
        prove(wire, node, peer)
        wire.advance(30.0)
    set_clock(wire, node, -FAST_S)
    before = facts_of(peer, node)

    for transmit in recorded:
        wire.inject(node, transmit.data, "192.168.1.66:52527", transmit.channel)

    assert recorded and facts_of(peer, node) == before


def facts_of(peer: Node, node: Node) -> object:
    """What a node holds of a peer: what it says of itself, and where it speaks from."""
    record = node.core.table.get(peer.key)
    assert record is not None
    return record.facts, record.control_endpoint, record.is_verified
