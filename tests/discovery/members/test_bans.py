"""Banned peers: what they say counts for nothing, and so does what others say of them."""

from __future__ import annotations

import pytest
from support.discovery.discovery_wire import Wire, cached_peer, describe, prove, shared_by
from wgmesh.discovery.events import DatagramRejected, PeerLeft


def meshed(wire: Wire, count: int = 3) -> None:
    for number in range(1, count + 1):
        wire.add(f"192.168.1.{number}")
    wire.advance(1.0)


def test_a_banned_peer_is_gone_at_once_and_stays_away() -> None:
    wire = Wire()
    meshed(wire)
    one, two, three = wire.nodes.values()

    one.core.set_banned({two.key}, wire.now)
    wire.settle()

    assert set(one.peers()) == {three.key}
    assert one.events_of(PeerLeft) == [PeerLeft(two.key, "banned")]
    assert one.core.snapshot().banned == (two.key,)
    wire.advance(120.0)
    assert set(one.peers()) == {three.key}
    assert DatagramRejected("banned") in one.events_of(DatagramRejected)


def test_a_banned_peer_with_a_working_tunnel_goes_too() -> None:
    wire = Wire()
    meshed(wire, 2)
    one, two = wire.nodes.values()
    prove(wire, one, two)

    one.core.set_banned({two.key}, wire.now)
    prove(wire, one, two)

    assert one.peers() == {}


def test_the_others_go_on_knowing_a_peer_that_one_node_has_banned() -> None:
    wire = Wire()
    meshed(wire)
    one, two, three = wire.nodes.values()

    one.core.set_banned({two.key}, wire.now)
    wire.advance(30.0)

    assert set(three.peers()) == {one.key, two.key}


def test_news_of_a_banned_peer_is_ignored_and_nothing_of_it_is_passed_on() -> None:
    wire = Wire()
    one, two = (wire.add(f"192.168.1.{number}", lan=False) for number in (1, 2))
    three = wire.add("192.168.1.3", lan=False)
    for node in (one, three):
        node.core.set_static([two.address], wire.now)
    wire.settle()
    wire.advance(5.0)
    assert set(one.peers()) == {two.key, three.key}

    one.core.set_banned({three.key}, wire.now)
    one.sent.clear()
    wire.advance(200.0)

    assert set(one.peers()) == {two.key}
    assert three.key not in shared_by(wire, one)
    assert [cached.public_key for cached in one.core.cached_peers(wire.now)] == [two.key]


def test_an_unbanned_peer_comes_back_by_itself() -> None:
    wire = Wire()
    meshed(wire, 2)
    one, two = wire.nodes.values()
    one.core.set_banned({two.key}, wire.now)
    wire.advance(60.0)

    one.core.set_banned(set(), wire.now)
    wire.advance(6.0)

    assert set(one.peers()) == {two.key}
    assert one.core.snapshot().banned == ()


def test_who_was_banned_before_the_start_is_never_seen_not_even_from_the_cache() -> None:
    wire = Wire()
    wire.add("192.168.1.2")
    one = wire.add("192.168.1.1", set_self=False)
    banned = describe(2).public_key

    one.core.set_banned({banned}, wire.now)
    one.core.restore_cache([cached_peer(2, "192.168.1.2")], wire.now)
    one.core.set_self(one.description, (), wire.now)
    wire.settle()
    wire.advance(10.0)

    assert one.peers() == {}
    assert one.events_of(PeerLeft) == []


@pytest.mark.parametrize("is_known", [True, False])
def test_a_ban_is_published_whether_the_peer_is_known_or_not(is_known: bool) -> None:
    wire = Wire()
    meshed(wire, 2)
    one, two = wire.nodes.values()
    key = two.key if is_known else describe(77).public_key
    before = one.core.snapshot().revision

    one.core.set_banned({key}, wire.now)
    wire.settle()
    after = one.core.snapshot().revision
    one.core.set_banned({key}, wire.now)
    wire.settle()

    assert after > before
    assert one.core.snapshot().revision == after, "a second ban changes nothing"
