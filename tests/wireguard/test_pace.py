"""When the watcher looks."""

from __future__ import annotations

from wgmesh.wireguard.pace import (
    ACTIVE_INTERVAL_S,
    BURST_INTERVAL_S,
    BURST_S,
    FULL_LOOK_INTERVAL_S,
    IDLE_AFTER_LOOKS,
    IDLE_INTERVAL_S,
    Pace,
)


def test_a_pending_handshake_is_watched_closely_for_a_short_time() -> None:
    pace = Pace()
    pace.on_applied(now=100.0)
    assert pace.on_look(100.1, changed=False, awaiting_handshake=True) == BURST_INTERVAL_S
    assert pace.on_look(100.2, changed=True, awaiting_handshake=False) == ACTIVE_INTERVAL_S
    assert pace.on_look(100.0 + BURST_S, changed=False, awaiting_handshake=True) == ACTIVE_INTERVAL_S


def test_a_peer_that_never_answers_costs_no_burst_without_an_apply() -> None:
    assert Pace().on_look(50.0, changed=False, awaiting_handshake=True) == ACTIVE_INTERVAL_S


def test_an_idle_device_is_looked_at_less_often_until_something_changes() -> None:
    pace = Pace()
    delays = [pace.on_look(float(n), changed=False, awaiting_handshake=False) for n in range(IDLE_AFTER_LOOKS)]
    assert delays == [ACTIVE_INTERVAL_S] * (IDLE_AFTER_LOOKS - 1) + [IDLE_INTERVAL_S]
    assert pace.on_look(9.0, changed=True, awaiting_handshake=False) == ACTIVE_INTERVAL_S


def test_addresses_and_routes_are_looked_at_now_and_then() -> None:
    pace = Pace()
    assert pace.wants_full_look(100.0)
    assert not pace.wants_full_look(100.0 + FULL_LOOK_INTERVAL_S - 1)
    assert pace.wants_full_look(100.0 + FULL_LOOK_INTERVAL_S)
