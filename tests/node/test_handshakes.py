"""Who initiates a first handshake, when it is hurried, what is left to WireGuard: at addresses that have answered."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from wgmesh.core.model import Candidate, CandidateSource, Endpoint, ObservedPeer, Peer, PublicKey
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.node.handshakes import (
    HURRY_GAPS_S,
    INITIATOR_KEEPALIVE_S,
    KEEPALIVE_S,
    PASSIVE_FOREIGN_S,
    PASSIVE_MET_S,
    PASSIVE_NATIVE_S,
    RENEWAL_S,
    RETRY_GAP_S,
    Approach,
    HandshakeTable,
)

NOW = 1_000_000.0
SMALL, LARGE, LARGEST = sorted(PublicKey(bytes([number] * 32)) for number in (1, 120, 200))
FIRST = Endpoint.parse("192.0.2.1:51820")
SECOND = Endpoint.parse("198.51.100.1:51820")


def test_the_node_with_the_smaller_key_initiates_at_once() -> None:
    approach = HandshakeTable(SMALL).approach(peer(LARGE), None, NOW)

    assert approach == Approach(endpoint=FIRST, keepalive_s=INITIATOR_KEEPALIVE_S)


def test_the_node_with_the_larger_key_waits_without_an_endpoint() -> None:
    table = HandshakeTable(LARGE)

    approach = table.approach(peer(SMALL), None, NOW)

    assert approach == Approach(endpoint=None, keepalive_s=0)
    assert table.next_at() == NOW + PASSIVE_NATIVE_S
    assert table.approach(peer(SMALL), None, NOW + 1) == Approach(endpoint=None, keepalive_s=0)
    assert table.next_at() == NOW + PASSIVE_NATIVE_S


def test_a_node_that_waited_in_vain_initiates_itself() -> None:
    table = HandshakeTable(LARGE)
    table.approach(peer(SMALL), None, NOW)

    absent = table.approach(peer(SMALL), ObservedPeer(SMALL), NOW + PASSIVE_NATIVE_S)
    present = table.approach(peer(SMALL), None, NOW + PASSIVE_NATIVE_S)

    assert not absent.present
    assert present.endpoint == FIRST


def test_an_upstream_node_is_given_time_to_initiate_by_itself() -> None:
    table = HandshakeTable(SMALL)
    upstream = peer(LARGE, native=False)

    assert table.approach(upstream, None, NOW).endpoint is None
    assert table.next_at() == NOW + PASSIVE_FOREIGN_S
    assert table.approach(upstream, None, NOW + PASSIVE_FOREIGN_S) == Approach(endpoint=FIRST, keepalive_s=KEEPALIVE_S)


def test_a_peer_that_an_earlier_life_has_met_is_waited_for_only_a_moment() -> None:
    """It believes in the session of that life, so it does not initiate."""
    for own, other, native in ((LARGE, SMALL, True), (LARGE, SMALL, False), (SMALL, LARGE, False)):
        table = HandshakeTable(own)
        table.approach(replace(peer(other, native=native), discovery_methods=("cache",)), None, NOW)
        assert table.next_at() == NOW + PASSIVE_MET_S


def test_a_wait_ends_early_when_the_peer_turns_out_to_be_native() -> None:
    table = HandshakeTable(SMALL)
    table.approach(peer(LARGE, native=False), None, NOW)

    assert table.approach(peer(LARGE), None, NOW + 0.1).endpoint == FIRST


def test_a_wait_becomes_shorter_by_what_is_heard_of_the_peer_and_never_longer() -> None:
    table = HandshakeTable(LARGE)
    met_before = replace(peer(SMALL, native=False), discovery_methods=("cache",))
    due = []
    for known in (peer(SMALL, native=False), peer(SMALL), met_before, peer(SMALL, native=False)):
        table.approach(known, None, NOW + 0.1)
        due.append(table.next_at())

    start = NOW + 0.1
    assert due == [start + PASSIVE_FOREIGN_S, start + PASSIVE_NATIVE_S, start + PASSIVE_MET_S, start + PASSIVE_MET_S]


def test_what_is_heard_of_a_peer_after_the_first_try_brings_no_other_try_forward() -> None:
    table = HandshakeTable(SMALL)
    upstream, tried_at = peer(LARGE, native=False), NOW + PASSIVE_FOREIGN_S
    table.approach(upstream, None, NOW)
    table.approach(upstream, None, tried_at)

    table.approach(peer(LARGE), None, tried_at + 0.01)

    assert table.next_at() == tried_at + HURRY_GAPS_S[0]


def test_a_first_handshake_that_does_not_come_is_hurried_by_leaving_the_peer_out_once() -> None:
    table = HandshakeTable(SMALL)
    table.approach(peer(LARGE), None, NOW)
    later = NOW + HURRY_GAPS_S[0]
    waiting = Approach(endpoint=FIRST, keepalive_s=INITIATOR_KEEPALIVE_S)

    assert table.approach(peer(LARGE), ObservedPeer(LARGE), later - 0.01) == waiting
    left_out = table.approach(peer(LARGE), ObservedPeer(LARGE), later + 0.01)
    assert left_out == Approach(present=False, keepalive_s=INITIATOR_KEEPALIVE_S)
    assert table.next_at() == later + 0.01
    assert table.approach(peer(LARGE), None, later + 0.02).present


def test_the_hurry_ends_and_wireguards_own_retries_follow() -> None:
    table = HandshakeTable(SMALL)
    now = NOW
    gaps = []
    for _ in range(len(HURRY_GAPS_S) + 3):
        table.approach(peer(LARGE), None, now)
        due = table.next_at()
        assert due is not None
        gaps.append(round(due - now, 3))
        now = due

    assert gaps == [*HURRY_GAPS_S, RETRY_GAP_S, RETRY_GAP_S, RETRY_GAP_S]


def test_other_candidates_are_tried_after_the_best_one_failed_twice() -> None:
    table = HandshakeTable(SMALL)
    two = peer(LARGE, FIRST, SECOND)
    tried = []
    now = NOW
    for _ in range(5):
        tried.append(table.approach(two, None, now).endpoint)
        now = table.next_at() or now

    assert tried == [FIRST, FIRST, SECOND, FIRST, SECOND]


def test_a_connected_peer_keeps_the_endpoint_that_wireguard_roams_to() -> None:
    table = HandshakeTable(SMALL)
    table.approach(peer(LARGE), None, NOW)

    approach = table.approach(peer(LARGE), ObservedPeer(LARGE, handshake_at=NOW), NOW + 1)

    assert approach == Approach(endpoint=None, keepalive_s=INITIATOR_KEEPALIVE_S)
    assert table.next_at() is None


def test_the_side_that_initiates_is_the_one_that_keeps_the_tunnel_alive() -> None:
    """Only its packets renew the session, and the side with the shorter interval is the one that sends."""
    one, other = (
        HandshakeTable(own).approach(peer(them), ObservedPeer(them, handshake_at=NOW), NOW).keepalive_s
        for own, them in ((SMALL, LARGE), (LARGE, SMALL))
    )
    assert one < other


def test_a_session_that_has_just_ended_is_left_to_the_next_keepalive() -> None:
    table = HandshakeTable(SMALL)
    ended = ObservedPeer(LARGE, handshake_at=NOW - REJECT_AFTER_S - KEEPALIVE_S)

    assert table.approach(peer(LARGE), ended, NOW).endpoint is None
    assert table.approach(peer(LARGE), ended, NOW + RENEWAL_S).endpoint == FIRST


def test_a_tunnel_that_fell_silent_is_approached_by_both_sides_and_never_left_out() -> None:
    for own, other in ((SMALL, LARGE), (LARGE, SMALL)):
        table = HandshakeTable(own)
        silent = ObservedPeer(other, handshake_at=NOW - REJECT_AFTER_S - RENEWAL_S)

        approaches = [table.approach(peer(other), silent, NOW + after) for after in (0.0, 1.0, RETRY_GAP_S, 20.0)]

        assert all(approach.present and approach.endpoint == FIRST for approach in approaches)
        assert table.next_at() == NOW + 20.0 + RETRY_GAP_S  # nothing is hurried where WireGuard knows the peer


def test_a_peer_without_candidates_is_configured_so_that_it_can_come_in() -> None:
    table = HandshakeTable(SMALL)

    assert table.approach(peer(LARGE, candidates=()), None, NOW) == Approach(endpoint=None, keepalive_s=0)
    assert table.next_at() == NOW + RETRY_GAP_S


def test_the_first_candidate_of_a_peer_is_tried_as_soon_as_it_is_known() -> None:
    table = HandshakeTable(SMALL)
    table.approach(peer(LARGE, candidates=()), None, NOW)

    table.approach(peer(LARGE), None, NOW + 1)

    assert table.next_at() == NOW + 1 + HURRY_GAPS_S[0]


def test_the_attempts_of_forgotten_peers_are_dropped_and_those_of_others_are_not() -> None:
    table = HandshakeTable(LARGEST)
    table.approach(peer(SMALL), None, NOW)
    table.approach(peer(LARGE), None, NOW + 1)

    table.keep([LARGE])
    assert table.next_at() == NOW + 1 + PASSIVE_NATIVE_S

    table.keep([])
    assert table.next_at() is None


def test_the_next_look_is_at_the_earliest_of_all_attempts() -> None:
    for order in ((SMALL, LARGE), (LARGE, SMALL)):
        table = HandshakeTable(LARGEST)
        for later, key in enumerate(order):
            table.approach(peer(key), None, NOW + later)
        assert table.next_at() == NOW + PASSIVE_NATIVE_S


def peer(
    key: PublicKey, *endpoints: Endpoint, native: bool = True, candidates: tuple[Candidate, ...] | None = None
) -> Peer:
    if candidates is None:
        candidates = tuple(
            Candidate(endpoint, CandidateSource.LAN, NOW, proven_at=NOW - 1000) for endpoint in endpoints or (FIRST,)
        )
    return Peer(key, ipaddress.IPv4Address("10.1.2.3"), candidates=candidates, native=native)
