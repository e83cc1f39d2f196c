"""When the watcher looks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wgmesh.core.model import Endpoint, ObservedDevice, ObservedPeer, PublicKey
from wgmesh.wireguard.pace import (
    ACTIVE_INTERVAL_S,
    BURST_INTERVAL_S,
    BURST_PEER_S,
    BURST_S,
    FULL_LOOK_INTERVAL_S,
    IDLE_AFTER_LOOKS,
    IDLE_INTERVAL_S,
    IDLE_SHARE,
    Pace,
)

CONNECTED = ObservedPeer(PublicKey(bytes(32)), Endpoint.parse("192.0.2.1:51820"), handshake_at=1000.0, rx_bytes=1)
PENDING = replace(CONNECTED, handshake_at=None)


def device(*peers: ObservedPeer) -> ObservedDevice:
    return ObservedDevice("wg0", "kernel", 51820, peers=peers)


def idle() -> Pace:
    """One that has seen nothing happen for long enough."""
    pace, same = Pace(), device(CONNECTED)
    delays = [pace.on_look(float(number), same, same) for number in range(IDLE_AFTER_LOOKS)]
    assert delays == [ACTIVE_INTERVAL_S] * (IDLE_AFTER_LOOKS - 1) + [IDLE_INTERVAL_S]
    return pace


def test_a_pending_handshake_is_watched_closely_for_a_short_time() -> None:
    pace = Pace()
    pace.on_applied(now=100.0)
    close = BURST_INTERVAL_S + BURST_PEER_S

    assert pace.on_look(100.1, device(PENDING), device(PENDING)) == close
    assert pace.on_look(100.2, device(PENDING), device(CONNECTED)) == ACTIVE_INTERVAL_S
    assert pace.on_look(100.0 + BURST_S, device(PENDING), device(PENDING)) == ACTIVE_INTERVAL_S


def test_a_peer_that_never_answers_costs_no_burst_without_an_apply() -> None:
    assert Pace().on_look(50.0, device(PENDING), device(PENDING)) == ACTIVE_INTERVAL_S


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(None, id="the device is gone"),
        pytest.param(device(), id="the peer is gone"),
        pytest.param(device(replace(CONNECTED, endpoint=Endpoint.parse("192.0.2.2:51820"))), id="it roamed"),
        pytest.param(device(PENDING), id="it was made again"),
        pytest.param(replace(device(CONNECTED), up=False), id="the device is down"),
    ],
)
def test_an_idle_device_is_looked_at_more_often_once_it_has_changed(after: ObservedDevice | None) -> None:
    assert idle().on_look(9.0, device(CONNECTED), after) == ACTIVE_INTERVAL_S


def test_the_first_handshake_of_a_peer_is_a_change() -> None:
    assert idle().on_look(9.0, device(PENDING), device(CONNECTED)) == ACTIVE_INTERVAL_S


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(replace(CONNECTED, rx_bytes=500), id="bytes came"),
        pytest.param(replace(CONNECTED, tx_bytes=500), id="bytes went"),
        pytest.param(replace(CONNECTED, handshake_at=1120.0), id="its handshake was renewed"),
    ],
)
def test_traffic_is_no_change_of_an_idle_device(after: ObservedPeer) -> None:
    assert idle().on_look(9.0, device(CONNECTED), device(after)) == IDLE_INTERVAL_S


def test_addresses_and_routes_are_looked_at_now_and_then() -> None:
    pace = Pace()
    assert pace.wants_full_look(100.0)
    assert not pace.wants_full_look(100.0 + FULL_LOOK_INTERVAL_S - 1)
    assert pace.wants_full_look(100.0 + FULL_LOOK_INTERVAL_S)


def test_an_idle_device_that_is_cheap_to_look_at_is_looked_at_more_often() -> None:
    same = device(CONNECTED)
    delays = [idle().on_look(9.0, same, same, spent_s) for spent_s in (0.0001, 0.001, 0.1)]
    assert delays == [ACTIVE_INTERVAL_S, 0.001 / IDLE_SHARE, IDLE_INTERVAL_S]
