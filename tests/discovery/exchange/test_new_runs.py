"""A node whose process starts again is known, and knows, at once."""

from __future__ import annotations

from support.discovery.discovery_wire import LAN_CHANNEL, START, Node, Wire, kind


def restarted(wire: Wire, node: Node, life: int, *, lan: bool = True) -> Node:
    """Kills a node and starts it again, with the same key at the same address."""
    wire.remove(node)
    return wire.add(node.host, life=life, lan=lan)


def test_a_node_that_was_killed_knows_its_neighbour_again_without_waiting_for_a_timer() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    for life in range(1, 6):
        before = wire.now
        two = restarted(wire, two, life)
        assert list(two.peers()) == [one.key]
        assert two.peers()[one.key].control_endpoint == one.address
        assert wire.now == before
        wire.advance(0.7)


def test_a_new_run_is_answered_with_an_announcement_that_is_brought_forward() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    one.sent.clear()
    restarted(wire, two, 1)
    wire.advance(0.021)
    assert [each.channel for each in one.sent if each.channel] == [LAN_CHANNEL]


def test_a_neighbour_that_starts_again_all_the_time_costs_one_announcement_a_second() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    one.sent.clear()
    for life in range(1, 21):
        two = restarted(wire, two, life)
        wire.advance(0.1)
    assert 2 <= len([each for each in one.sent if each.channel]) <= 3  # in two seconds


def test_the_same_run_is_asked_once() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    restarted(wire, two, 1)
    wire.advance(0.1)
    one.sent.clear()
    wire.advance(20.0)
    assert len([each for each in one.sent if kind(each) == "HELLO"]) == 0
    assert len([each for each in one.sent if each.channel]) == 4


def test_a_new_run_that_says_hello_is_asked_back() -> None:
    """Its answer proves that the address is still good, even where all that we said before was lost on it."""
    wire = Wire()
    one, two = wire.add("192.0.2.1", lan=False), wire.add("198.51.100.2", lan=False)
    two.core.set_static([one.address], wire.now)
    wire.settle()
    wire.advance(3.0)
    one.sent.clear()
    two = restarted(wire, two, 1, lan=False)
    two.core.set_static([one.address], wire.now)
    wire.settle()
    assert [kind(each) for each in one.sent] == ["REPLY", "HELLO"]
    assert wire.now == START + 3.0
