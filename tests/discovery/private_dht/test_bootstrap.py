from __future__ import annotations

import ipaddress

from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_dht.bootstrap import MAX_NODES, TURN, BootstrapNodes


def at(number: int) -> Endpoint:
    return Endpoint(ipaddress.IPv4Address(0x0A000000 + number), 4001)


def test_all_of_both_kinds_have_their_turn_however_many_are_dead() -> None:
    nodes = BootstrapNodes()
    nodes.give(at(number) for number in range(10))
    nodes.remember(*(at(number) for number in range(100, 120)))
    turns = [nodes.turn() for _ in range(5)]
    assert all(len(turn) == 2 * TURN for turn in turns)
    assert set().union(*turns) == {at(number) for number in (*range(10), *range(100, 120))}


def test_what_is_remembered_last_comes_next_and_no_more_is_remembered_than_allowed() -> None:
    nodes = BootstrapNodes()
    for number in range(2 * MAX_NODES):
        nodes.remember(at(number))
    assert nodes.turn()[0] == at(2 * MAX_NODES - 1)
    assert len(nodes.remembered) == MAX_NODES


def test_what_the_operator_named_is_never_pushed_out() -> None:
    nodes = BootstrapNodes()
    nodes.give([at(1)])
    nodes.remember(*(at(number) for number in range(100, 1000)))
    for _ in range(100):
        assert at(1) in nodes.turn()


def test_what_is_both_named_and_remembered_is_tried_once_a_turn() -> None:
    nodes = BootstrapNodes()
    nodes.give([at(1)])
    nodes.remember(at(1))
    assert nodes.turn() == [at(1)]
