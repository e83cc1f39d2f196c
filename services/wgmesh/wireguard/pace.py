"""How often to look at the device: at once when it matters, hardly when nothing happens."""

from __future__ import annotations

from dataclasses import replace

from wgmesh.core.model import ObservedDevice

BURST_S = 3.0  # a first handshake takes one round trip; one that got lost is tried again only after 5 s
BURST_INTERVAL_S = 0.05
BURST_PEER_S = 0.005  # on top for each peer: a look reads all of them
ACTIVE_INTERVAL_S = 1.0
IDLE_INTERVAL_S = 10.0  # nothing is missed: a handshake that comes late only shows its age late
IDLE_AFTER_LOOKS = 5  # unchanged looks in a row
FULL_LOOK_INTERVAL_S = 30.0  # addresses and routes change only by hand: seen within this time


def same_but_counters(one: ObservedDevice | None, other: ObservedDevice | None) -> bool:
    """Whether two looks differ in nothing but bytes received and sent."""
    return _without_counters(one) == _without_counters(other)


def _without_counters(device: ObservedDevice | None) -> ObservedDevice | None:
    if device is None:
        return None
    return replace(device, peers=tuple(replace(peer, rx_bytes=0, tx_bytes=0) for peer in device.peers))


class Pace:
    """Says when to look next. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._burst_until = 0.0
        self._unchanged = 0
        self._full_look_at = 0.0

    def on_applied(self, now: float) -> None:
        """The device was changed: a handshake may come any moment."""
        self._burst_until = now + BURST_S
        self._unchanged = 0

    def on_look(self, now: float, *, changed: bool, awaiting_handshake: bool, peer_count: int = 0) -> float:
        """Takes what a look found and returns the seconds to wait before the next one."""
        self._unchanged = 0 if changed else self._unchanged + 1
        if awaiting_handshake and now < self._burst_until:
            return min(BURST_INTERVAL_S + BURST_PEER_S * peer_count, ACTIVE_INTERVAL_S)
        return ACTIVE_INTERVAL_S if self._unchanged < IDLE_AFTER_LOOKS else IDLE_INTERVAL_S

    def wants_full_look(self, now: float) -> bool:
        """Whether addresses and routes are due as well. Answering yes starts the next span."""
        if now < self._full_look_at:
            return False
        self._full_look_at = now + FULL_LOOK_INTERVAL_S
        return True
