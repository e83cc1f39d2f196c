"""When handshakes happened, whatever is done to the clock that stamps them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.devices import key
from wgmesh.core.clock import WallClock
from wgmesh.core.model import ObservedPeer
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.wireguard.handshake_times import HandshakeTimes
from wgmesh.wireguard.plan import is_live

NOW = 1_800_000_000.0
HOUR_S = 3600.0


def dated(times: HandshakeTimes, stamp: float | None, ahead_s: float, now: float) -> ObservedPeer:
    (peer,) = times.date([ObservedPeer(key(1), handshake_at=stamp)], WallClock(ahead_s), now)
    return peer


@given(
    st.lists(
        st.tuples(
            st.floats(-4e8, 4e8),  # by how much the clock is set
            st.floats(0.1, 30.0),  # then a look comes
            st.booleans(),  # with a handshake since the last
        ),
        max_size=20,
    )
)
def test_a_handshake_is_dated_between_the_looks_that_it_lies_between(steps: list[tuple[float, float, bool]]) -> None:
    times, now, ahead_s, stamp = HandshakeTimes(), NOW, 0.0, NOW
    last = dated(times, stamp, ahead_s, now).handshake_at
    assert last == NOW
    for jump_s, wait_s, is_renewed in steps:
        ahead_s += jump_s
        before, now = now, now + wait_s
        if is_renewed:
            stamp = now - wait_s / 2 + ahead_s
        at = dated(times, stamp, ahead_s, now).handshake_at
        assert at is not None
        if is_renewed:
            assert before <= at <= now
            last = at
        assert at == last


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S, -24 * HOUR_S, 24 * HOUR_S, 87_660 * HOUR_S])
def test_a_clock_that_is_set_makes_no_live_handshake_old_and_no_old_one_live(jump_s: float) -> None:
    times = HandshakeTimes()
    dated(times, NOW - 100, 0.0, NOW)
    assert is_live(dated(times, NOW - 100, jump_s, NOW + 1), NOW + 1)
    later = NOW + REJECT_AFTER_S
    assert not is_live(dated(times, NOW - 100, jump_s, later), later)


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S])
def test_a_process_that_starts_after_the_jump_takes_no_working_tunnel_for_a_lost_one(jump_s: float) -> None:
    assert is_live(dated(HandshakeTimes(), NOW - 100, jump_s, NOW), NOW)
    assert is_live(dated(HandshakeTimes(), NOW - 100 + jump_s, jump_s, NOW), NOW)


def test_a_process_that_starts_takes_an_old_handshake_for_what_it_is() -> None:
    assert dated(HandshakeTimes(), NOW - HOUR_S, 0.0, NOW).handshake_at == NOW - HOUR_S


def test_a_peer_without_a_handshake_has_none_and_one_that_is_gone_is_forgotten() -> None:
    times = HandshakeTimes()
    assert dated(times, None, 0.0, NOW).handshake_at is None
    assert dated(times, NOW + 1, 0.0, NOW + 2).handshake_at == NOW + 1
    assert times.date([], WallClock(), NOW + 3) == ()
    assert dated(times, NOW + 1, 0.0, NOW + 9).handshake_at == NOW + 3  # a peer that is new had its handshake since
