"""The first packet to a peer beyond NATs waits until openers are on their way, and no other packet does."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from wgmesh.core.model import Candidate, CandidateSource, Endpoint, ObservedPeer, Peer, PublicKey
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.node.handshakes import OPENING_S, RENEWAL_S, HandshakeTable

NOW = 1_000_000.0
SMALL, LARGE = sorted(PublicKey(bytes([number] * 32)) for number in (1, 120))
AWAY = Endpoint.parse("44.64.2.2:51820")
HERE = Endpoint.parse("192.168.1.2:51820")


@pytest.mark.parametrize("has_answered", [True, False])
def test_the_first_initiation_beyond_a_nat_waits_half_a_second(has_answered: bool) -> None:
    table, other = HandshakeTable(SMALL), peer(AWAY, has_answered=has_answered)

    held = table.approach(other, None, NOW, opens=True)
    due_at = table.next_at()
    let_go = table.approach(other, None, NOW + OPENING_S, opens=True)

    assert (held.present, held.endpoint, held.keepalive_s) == (True, None, 0)
    assert due_at == NOW + OPENING_S
    assert let_go.endpoint == AWAY


def test_a_table_of_peers_holds_each_of_them() -> None:
    table, other = HandshakeTable(SMALL), peer(AWAY)

    assert table.approaches([other], {}, NOW, opens=True)[LARGE].endpoint is None
    assert table.approaches([other], {}, NOW + OPENING_S, opens=True)[LARGE].endpoint == AWAY


def test_a_host_without_nat_does_not_wait() -> None:
    assert HandshakeTable(SMALL).approach(peer(AWAY), None, NOW).endpoint == AWAY


@pytest.mark.parametrize(
    ("at", "source"),
    [
        (AWAY, CandidateSource.LAN),
        (HERE, CandidateSource.ANNOUNCED),
        (Endpoint.parse("[2a00:1::2]:51820"), CandidateSource.ANNOUNCED),
    ],
)
def test_neighbours_private_addresses_and_ipv6_are_not_waited_for(at: Endpoint, source: CandidateSource) -> None:
    assert HandshakeTable(SMALL).approach(peer(at, source), None, NOW, opens=True).endpoint == at


def test_the_side_that_waits_for_the_other_waits_no_longer_than_before() -> None:
    waits = []
    for opens in (False, True):
        table = HandshakeTable(LARGE)
        table.approach(replace(peer(AWAY), public_key=SMALL), None, NOW, opens=opens)
        waits.append(table.next_at())

    assert waits[0] == waits[1]


def test_an_address_that_comes_later_is_waited_for_while_the_other_is_tried() -> None:
    table = HandshakeTable(SMALL)
    here, both = peer(HERE), peer(AWAY)
    both = replace(both, candidates=(*both.candidates, *here.candidates))
    assert table.approach(here, None, NOW, opens=True).endpoint == HERE
    later = table.next_at() or NOW

    tried = ObservedPeer(LARGE, endpoint=HERE)
    meanwhile = table.approach(both, tried, later, opens=True)
    due_at = table.next_at()
    first = table.approach(both, tried, later + OPENING_S, opens=True)
    second = table.approach(both, None, later + OPENING_S, opens=True)

    assert meanwhile.endpoint == HERE
    assert due_at == later + OPENING_S
    assert (first.present, second.endpoint) == (False, AWAY)


def test_only_the_first_initiation_waits() -> None:
    table, other = HandshakeTable(SMALL), peer(AWAY)
    table.approach(other, ObservedPeer(LARGE, endpoint=AWAY, handshake_at=NOW), NOW, opens=True)
    lost_at = NOW + REJECT_AFTER_S + RENEWAL_S

    assert table.approach(other, ObservedPeer(LARGE, handshake_at=NOW), lost_at, opens=True).endpoint == AWAY


def test_a_peer_that_is_forgotten_is_waited_for_as_a_new_one() -> None:
    table, other = HandshakeTable(SMALL), peer(AWAY)
    table.approach(other, None, NOW, opens=True)

    table.keep([])

    assert table.approach(other, None, NOW + 60, opens=True).endpoint is None


def peer(at: Endpoint, source: CandidateSource = CandidateSource.ANNOUNCED, *, has_answered: bool = True) -> Peer:
    return Peer(
        LARGE,
        ipaddress.IPv4Address("10.9.0.2"),
        candidates=(Candidate(at, source, NOW),),
        native=True,
        control_endpoint=Endpoint(at.host, 52000) if has_answered else None,
    )
