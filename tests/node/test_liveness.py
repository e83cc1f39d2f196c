"""Liveness is claimed from proof on the data path, and from nothing else."""

from __future__ import annotations

from wgmesh.core.model import ObservedPeer, PublicKey
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.node.liveness import Liveness, TrafficMemory, judge

KEY = PublicKey(b"k" * 32)
NOW = 1_000_000.0


def test_a_peer_that_the_device_does_not_have_is_connecting() -> None:
    assert judge(None, None, NOW).liveness is Liveness.CONNECTING


def test_a_peer_without_a_handshake_is_connecting_whatever_was_sent_to_it() -> None:
    peer = ObservedPeer(KEY, tx_bytes=10_000)

    verdict = judge(peer, None, NOW)

    assert verdict.liveness is Liveness.CONNECTING
    assert verdict.reason == "no handshake has completed yet"


def test_a_handshake_proves_a_peer_until_its_session_must_be_rejected() -> None:
    peer = ObservedPeer(KEY, handshake_at=NOW)

    assert judge(peer, None, NOW + REJECT_AFTER_S - 1).liveness is Liveness.CONNECTED
    assert judge(peer, None, NOW + REJECT_AFTER_S).liveness is Liveness.STALE


def test_received_bytes_prove_a_peer_longer_than_its_handshake() -> None:
    peer = ObservedPeer(KEY, handshake_at=NOW)

    verdict = judge(peer, NOW + 100, NOW + REJECT_AFTER_S + 50)

    assert verdict.liveness is Liveness.CONNECTED
    assert verdict.proven_at == NOW + 100


def test_a_stale_peer_says_for_how_long_it_was_silent() -> None:
    verdict = judge(ObservedPeer(KEY, handshake_at=NOW), None, NOW + 200)

    assert verdict.reason == "nothing was received for 200 s"
    assert verdict.proven_at == NOW


def test_sent_bytes_are_no_growth_but_received_bytes_are() -> None:
    memory = TrafficMemory()
    memory.observe([ObservedPeer(KEY, rx_bytes=5, tx_bytes=5)], NOW)

    memory.observe([ObservedPeer(KEY, rx_bytes=5, tx_bytes=500)], NOW + 1)
    assert memory.grew_at(KEY) is None

    memory.observe([ObservedPeer(KEY, rx_bytes=6, tx_bytes=500)], NOW + 2)
    assert memory.grew_at(KEY) == NOW + 2


def test_counters_that_start_again_are_not_growth() -> None:
    memory = TrafficMemory()
    memory.observe([ObservedPeer(KEY, rx_bytes=400)], NOW)
    memory.observe([ObservedPeer(KEY, rx_bytes=500)], NOW + 1)

    memory.observe([ObservedPeer(KEY, rx_bytes=10)], NOW + 2)

    assert memory.grew_at(KEY) is None


def test_a_peer_that_sends_nothing_more_was_heard_when_it_last_sent() -> None:
    memory = TrafficMemory()
    for now, rx_bytes in enumerate((5, 6, 6, 6)):
        memory.observe([ObservedPeer(KEY, rx_bytes=rx_bytes)], NOW + now)

    assert memory.grew_at(KEY) == NOW + 1


def test_a_peer_that_left_the_device_is_forgotten() -> None:
    memory = TrafficMemory()
    memory.observe([ObservedPeer(KEY, rx_bytes=5)], NOW)
    memory.observe([ObservedPeer(KEY, rx_bytes=6)], NOW + 1)

    memory.observe([], NOW + 2)

    assert memory.grew_at(KEY) is None


def test_a_peer_that_does_not_answer_is_suspect_with_the_age_of_the_last_proof() -> None:
    peer = ObservedPeer(KEY, handshake_at=NOW - 60, unanswered_since=NOW - 15)

    verdict = judge(peer, NOW - 20, NOW)

    assert (verdict.liveness, verdict.proven_at) == (Liveness.SUSPECT, NOW - 20)
    assert verdict.reason == "what was sent is not answered since 15 s; last proven 20 s ago"


def test_what_came_since_a_peer_fell_silent_is_no_proof() -> None:
    """It was only initiations, or the peer would answer."""
    peer = ObservedPeer(KEY, handshake_at=NOW - 60, unanswered_since=NOW - 50)

    assert judge(peer, NOW - 1, NOW).proven_at == NOW - 50


def test_a_suspect_becomes_stale() -> None:
    peer = ObservedPeer(KEY, handshake_at=NOW - 60, unanswered_since=NOW - 15)

    assert judge(peer, NOW - 20, NOW - 20 + REJECT_AFTER_S).liveness is Liveness.STALE
