"""One line when a peer connects or falls silent, and never more of one peer than one a minute."""

from __future__ import annotations

import ipaddress
import itertools

from wgmesh.core.model import Peer, PublicKey
from wgmesh.node.journal import AGAIN_S, LINES_AT_ONCE, Journal, Remark
from wgmesh.node.liveness import Liveness, Verdict

NOW = 5000.0
UP, DOWN = Verdict(Liveness.CONNECTED, 1.0), Verdict(Liveness.SUSPECT, 1.0, "no answer")
OLD, NEW = Verdict(Liveness.STALE, 1.0, "silent"), Verdict(Liveness.CONNECTING)


def peer(number: int = 1) -> Peer:
    return Peer(PublicKey(number.to_bytes(32, "big")), ipaddress.IPv4Address("10.0.0.1"), hostname=f"peer-{number}")


def said(journal: Journal, verdict: Verdict, now: float) -> list[tuple[bool, str]]:
    key = peer().public_key
    return [(each.is_connected, each.reason) for each in journal.remarks({key: peer()}, {key: verdict}, now)]


def test_a_peer_is_named_when_it_connects_and_not_again_while_it_stays() -> None:
    journal, key = Journal(NOW), peer().public_key

    assert journal.remarks({key: peer()}, {key: NEW}, NOW) == []
    assert journal.remarks({key: peer()}, {key: UP}, NOW + 1) == [Remark(peer(), True, "")]
    assert [said(journal, UP, NOW + after) for after in (2, 100, 1000)] == [[], [], []]


def test_a_peer_that_falls_silent_is_named_with_the_reason_and_once() -> None:
    journal = Journal(NOW)
    said(journal, UP, NOW)

    assert said(journal, DOWN, NOW + 100) == [(False, "no answer")]
    assert said(journal, OLD, NOW + 300) == []  # stale is still silent
    assert said(journal, UP, NOW + 400) == [(True, "")]


def test_a_peer_that_flaps_has_one_line_a_minute() -> None:
    journal = Journal(NOW)

    lines = [second for second in range(600) if said(journal, (UP, DOWN)[second % 2], NOW + second)]

    assert lines[0] == 0
    assert all(later - earlier >= AGAIN_S for earlier, later in itertools.pairwise(lines))


def test_somebody_who_makes_peers_without_end_fills_no_log() -> None:
    journal, count = Journal(NOW), 0
    for number in range(1, 1000):
        key = peer(number).public_key
        count += len(journal.remarks({key: peer(number)}, {key: UP}, NOW + number / 100))

    assert LINES_AT_ONCE <= count <= LINES_AT_ONCE + 2


def test_a_peer_that_has_left_is_new_when_it_comes_again() -> None:
    journal = Journal(NOW)
    said(journal, UP, NOW)
    journal.remarks({}, {}, NOW + 1)

    assert said(journal, UP, NOW + 2) == [(True, "")]
