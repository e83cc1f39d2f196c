"""Where a peer that does not answer is sought, while its session is young."""

from __future__ import annotations

from dataclasses import replace

from wgmesh.core.addressing import derive_ipv4
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Candidate, CandidateSource, Endpoint, ObservedPeer, Peer, PublicKey
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.node.detours import ELSEWHERE_AFTER_S, SPOKEN_BEFORE_S, TRY_S
from wgmesh.node.handshakes import HandshakeTable

SECRET = Secret.parse("wgmesh-detours-test-secret")
OWN, KEY = PublicKey(bytes([1]) * 32), PublicKey(bytes([2]) * 32)
OUTSIDE, INSIDE, OLD = (Endpoint.parse(f"{host}:51820") for host in ("198.51.100.1", "192.168.1.7", "203.0.113.5"))
NOW = 1_000_000.0
SINCE = NOW - 15.0


def peer(*candidates: Candidate, spoken_at: float | None, control: Endpoint | None) -> Peer:
    address = derive_ipv4(KEY, SECRET, derive(SECRET))
    return Peer(KEY, address, candidates=candidates, native=True, direct_seen_at=spoken_at, control_endpoint=control)


def candidate(endpoint: Endpoint, proven_at: float | None = None) -> Candidate:
    return Candidate(endpoint, CandidateSource.OBSERVED, NOW - 100, proven_at)


def observed(endpoint: Endpoint = OUTSIDE, since: float | None = SINCE) -> ObservedPeer:
    return ObservedPeer(KEY, endpoint, handshake_at=NOW - 60, unanswered_since=since)


MOVED = peer(candidate(OUTSIDE, NOW - 60), candidate(INSIDE), spoken_at=SINCE + 1, control=Endpoint(INSIDE.host, 9))


def test_a_peer_that_answers_keeps_its_endpoint_wherever_it_speaks_from() -> None:
    approach = HandshakeTable(OWN).approach(MOVED, observed(since=None), NOW)

    assert (approach.endpoint, approach.dead_endpoint) == (None, None)


def test_an_address_from_which_a_silent_peer_has_spoken_is_tried_at_once() -> None:
    table = HandshakeTable(OWN)

    approach = table.approach(MOVED, observed(), NOW)

    assert (approach.endpoint, approach.dead_endpoint) == (INSIDE, OUTSIDE)
    assert table.next_at() == NOW + TRY_S


def test_what_was_said_before_the_silence_proves_no_other_address() -> None:
    before = replace(MOVED, direct_seen_at=SINCE - SPOKEN_BEFORE_S - 1)

    assert HandshakeTable(OWN).approach(before, observed(), NOW).endpoint is None


def test_an_address_at_which_it_has_not_spoken_waits_for_its_own_proof() -> None:
    named = peer(candidate(OUTSIDE, NOW - 60), candidate(INSIDE), spoken_at=SINCE + 1, control=OUTSIDE)

    assert HandshakeTable(OWN).approach(named, observed(), NOW).endpoint is None


def test_a_try_is_left_alone_for_a_while_and_asks_for_no_turns_in_a_row() -> None:
    table = HandshakeTable(OWN)
    table.approach(MOVED, observed(), NOW)

    for after_s in (0.1, 1.0, TRY_S - 0.1):
        assert table.approach(MOVED, observed(INSIDE), NOW + after_s).endpoint is None
    table.approach(MOVED, observed(INSIDE), NOW + TRY_S)
    due = table.next_at()
    assert due is not None
    assert due > NOW + TRY_S


def test_after_half_a_minute_every_address_that_ever_answered_is_tried_in_turn() -> None:
    quiet = peer(
        candidate(OUTSIDE, NOW - 60), candidate(OLD, NOW - 600), candidate(INSIDE), spoken_at=None, control=None
    )
    table, current, tried = HandshakeTable(OWN), OUTSIDE, []
    now = SINCE + ELSEWHERE_AFTER_S
    assert table.approach(quiet, observed(), now - 1).endpoint is None

    for _ in range(4):
        approach = table.approach(quiet, observed(current), now)
        if approach.endpoint is not None:
            assert approach.dead_endpoint == current
            current = approach.endpoint
        tried.append(current)
        due = table.next_at()
        assert due is not None
        assert due > now
        now = due

    assert tried == [OLD, OUTSIDE, OLD, OUTSIDE]  # never the one that nobody has proven


def test_a_peer_that_answers_again_is_sought_no_more() -> None:
    table = HandshakeTable(OWN)
    table.approach(MOVED, observed(), NOW)

    table.approach(MOVED, observed(INSIDE, since=None), NOW + 1)

    assert table.next_at() is None


def test_a_session_that_is_over_is_begun_again_as_always() -> None:
    table = HandshakeTable(OWN)
    table.approach(MOVED, observed(), NOW)

    approach = table.approach(MOVED, observed(INSIDE), NOW + REJECT_AFTER_S + 100)

    assert approach.endpoint is not None
    assert approach.dead_endpoint is None
