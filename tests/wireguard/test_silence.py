"""Who does not answer, told by WireGuard's counters alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wgmesh.core.model import Endpoint, ObservedPeer, PublicKey
from wgmesh.wireguard.silence import (
    INITIATION_BYTES,
    KEEPALIVE_BYTES,
    UNANSWERED_AFTER_MOVE_S,
    UNANSWERED_S,
    SilenceMemory,
)

NOW = 1_000_000.0
ECHO_BYTES = 80  # the smallest probe: 28 bytes of headers and 8 of payload, padded, in a transport message
PEER = ObservedPeer(
    PublicKey(bytes(32)),
    Endpoint.parse("192.0.2.1:51820"),
    persistent_keepalive_s=25,
    handshake_at=NOW - 10,
    rx_bytes=1000,
    tx_bytes=1000,
)


class Looks:
    """One peer, looked at each second."""

    def __init__(self) -> None:
        self.memory = SilenceMemory()
        self.now = NOW
        self.peer = PEER
        self.look()

    def look(self, sent: int = 0, received: int = 0) -> float | None:
        """One look a second later, after so many bytes: since when the peer does not answer."""
        self.now += 1.0
        self.peer = replace(self.peer, tx_bytes=self.peer.tx_bytes + sent, rx_bytes=self.peer.rx_bytes + received)
        (seen,) = self.memory.observe([self.peer], self.now)
        return seen.unanswered_since

    def silence(self, span_s: float) -> list[float | None]:
        return [self.look() for _ in range(int(span_s))]


def test_a_peer_that_does_not_answer_data_for_15_s_is_told_with_the_time_of_the_question() -> None:
    looks = Looks()
    assert looks.look(sent=ECHO_BYTES) is None
    asked_at = looks.now

    assert looks.silence(UNANSWERED_S - 1) == [None] * int(UNANSWERED_S - 1)
    assert looks.look() == asked_at


def test_a_peer_that_answers_in_time_is_not_told() -> None:
    looks = Looks()
    looks.look(sent=ECHO_BYTES)
    looks.silence(UNANSWERED_S - 2)
    looks.look(received=KEEPALIVE_BYTES)  # a passive keepalive is an answer

    assert set(looks.silence(60)) == {None}


def test_any_answer_ends_it() -> None:
    looks = Looks()
    looks.look(sent=ECHO_BYTES)
    looks.silence(60)
    assert looks.look() is not None

    assert looks.look(received=KEEPALIVE_BYTES) is None


def test_keepalives_ask_for_nothing() -> None:
    """An idle peer sends none of its own where ours come first."""
    looks = Looks()

    for _ in range(20):
        assert set(looks.silence(24)) == {None}
        assert looks.look(sent=KEEPALIVE_BYTES) is None


def test_one_probe_among_keepalives_is_seen_whenever_it_comes() -> None:
    for keepalives in range(10):
        looks = Looks()
        for _ in range(keepalives):
            looks.silence(24)
            looks.look(sent=KEEPALIVE_BYTES)
        looks.look(sent=ECHO_BYTES)
        asked_at = looks.now

        assert looks.silence(UNANSWERED_S)[-1] == asked_at, keepalives


def test_initiations_that_are_repeated_are_no_answer() -> None:
    """They show that the peer does not hear us."""
    looks = Looks()
    looks.look(sent=ECHO_BYTES)
    asked_at = looks.now
    for _ in range(3):
        looks.look(received=INITIATION_BYTES)
        looks.silence(4)

    assert looks.look() == asked_at


def test_a_peer_that_knocks_and_never_gets_through_is_told_although_nothing_was_sent() -> None:
    looks = Looks()
    looks.look(received=INITIATION_BYTES)
    asked_at = looks.now

    for _ in range(4):
        looks.silence(4)
        found = looks.look(received=INITIATION_BYTES)
    assert found == asked_at


def test_a_new_handshake_is_an_answer() -> None:
    looks = Looks()
    looks.look(sent=ECHO_BYTES)
    looks.silence(UNANSWERED_S)
    looks.peer = replace(looks.peer, handshake_at=looks.now)

    assert looks.look(received=INITIATION_BYTES) is None


def test_without_a_session_there_is_nothing_to_lose() -> None:
    looks = Looks()
    looks.peer = replace(PEER, handshake_at=None)
    looks.look()

    for _ in range(10):
        assert set(looks.silence(5)) == {None}
        looks.look(sent=INITIATION_BYTES)


def test_counters_that_start_again_accuse_nobody() -> None:
    looks = Looks()
    looks.look(sent=ECHO_BYTES)
    looks.peer = replace(looks.peer, tx_bytes=0, rx_bytes=0)

    assert set(looks.silence(60)) == {None}


def test_after_a_move_of_this_host_a_round_trip_is_enough() -> None:
    looks = Looks()
    looks.memory.note_move(looks.now + 0.5)
    looks.look(sent=ECHO_BYTES)
    asked_at = looks.now

    assert looks.silence(UNANSWERED_AFTER_MOVE_S)[-1] == asked_at


def test_a_move_alone_accuses_nobody() -> None:
    looks = Looks()
    looks.memory.note_move(looks.now)

    assert set(looks.silence(60)) == {None}


def test_a_move_before_the_last_answer_hurries_nothing() -> None:
    looks = Looks()
    looks.memory.note_move(looks.now)
    looks.look(received=KEEPALIVE_BYTES)
    looks.look(sent=ECHO_BYTES)

    assert set(looks.silence(UNANSWERED_S - 1)) == {None}


@pytest.mark.parametrize(
    ("sent", "is_curious"), [(0, False), (KEEPALIVE_BYTES, False), (ECHO_BYTES, True), (100_000, True)]
)
def test_data_makes_the_next_look_worth_more(sent: int, is_curious: bool) -> None:
    looks = Looks()
    looks.look(sent=sent, received=sent)

    assert looks.memory.is_curious(looks.now) is is_curious


def test_who_waits_for_an_answer_is_curious_and_ends_to_be_where_none_comes() -> None:
    looks = Looks()
    looks.look(sent=ECHO_BYTES)
    looks.look()
    assert looks.memory.is_curious(looks.now)

    looks.silence(4 * UNANSWERED_S)

    assert not looks.memory.is_curious(looks.now)
