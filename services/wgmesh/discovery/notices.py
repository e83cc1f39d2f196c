"""What discovery tells the operator beyond the state of its layers."""

from __future__ import annotations

from wgmesh.core.model import Notice, PublicKey
from wgmesh.discovery.peer_record import NEVER
from wgmesh.discovery.state import DiscoveryState

NAMED_MAX = 5  # a notice is one line
REFRESH_S = 5.0  # what the operator should know is not worth a look at each datagram


class NoticeBoard:
    """The notices as they stand."""

    def __init__(self, state: DiscoveryState) -> None:
        self._state = state
        self._looked_at = NEVER
        self.current: tuple[Notice, ...] = ()

    def settle(self, now: float) -> None:
        """Looks again if it is time, and publishes what has changed."""
        if now - self._looked_at < REFRESH_S:
            return
        self._looked_at = now
        found = _notices(self._state, now)
        if found != self.current:
            self.current = found
            self._state.outbox.publish()


def _notices(state: DiscoveryState, now: float) -> tuple[Notice, ...]:
    found = []
    if sentence := state.doubles.own_sentence(now):
        found.append(Notice("duplicate-identity", sentence))
    if doubled := _names(state, state.doubles.current(now)):
        found.append(
            Notice(
                "duplicate-peer",
                f"{doubled}: two machines have this key, as if a state directory was copied; remove the identity file"
                " of one of them.",
            )
        )
    if sentence := state.skew.sentence(now):
        found.append(Notice("clock-skew", sentence))
    if late := _names(state, state.skew.peers_off(now)):
        found.append(Notice("peer-clock-skew", f"{late}: the clock there is wrong; set it, for example with NTP."))
    return tuple(found)


def _names(state: DiscoveryState, keys: list[PublicKey]) -> str:
    names = []
    for key in sorted(keys)[:NAMED_MAX]:
        record = state.table.get(key)
        names.append((record.facts.hostname if record is not None else "") or key.short)
    return ", ".join(names)
