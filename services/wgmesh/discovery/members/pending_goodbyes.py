"""GOODBYEs that wait for confirmation: without a proof a peer is asked before it is believed to have left."""

from __future__ import annotations

from dataclasses import dataclass

from wgmesh.core.model import PublicKey

CONFIRM_S = 2.0  # one long round trip and a resend; a peer that really left is removed this much later
# A REPLY names no HELLO. One that was under way through the tunnel while the GOODBYE took the short way would pass for
# an answer, so the peer is asked only after what it had sent before has arrived.
GRACE_S = 0.5
FRESHNESS_S = 60.0  # a GOODBYE is refused beyond this, either way (protocol notes, section 7.7)


@dataclass(slots=True)
class _PendingGoodbye:
    timestamp: int
    ask_at: float | None
    until: float


class PendingGoodbyes:
    """Peers that seem to have said goodbye. Nothing unproven removes one that answers, or holds it off beyond now."""

    def __init__(self) -> None:
        self._pending: dict[PublicKey, _PendingGoodbye] = {}

    def suspect(self, key: PublicKey, timestamp: int, now: float) -> None:
        """Waits for a sign of life. A second GOODBYE does not make the wait longer."""
        self._pending.setdefault(key, _PendingGoodbye(timestamp, now + GRACE_S, now + CONFIRM_S))

    def clear(self, key: PublicKey) -> None:
        """The peer has answered: it is still here."""
        self._pending.pop(key, None)

    def to_ask(self, now: float) -> list[PublicKey]:
        """Returns those whose time has come to be asked, each once."""
        due = [key for key, each in self._pending.items() if each.ask_at is not None and now >= each.ask_at]
        for key in due:
            self._pending[key].ask_at = None
        return due

    def due(self, now: float) -> list[tuple[PublicKey, int]]:
        """Returns those who gave no sign of life, with the time of their GOODBYE."""
        gone = [(key, each.timestamp) for key, each in self._pending.items() if now >= each.until]
        for key, _ in gone:
            del self._pending[key]
        return gone

    def poll_timeout(self) -> float | None:
        return min(
            (each.until if each.ask_at is None else each.ask_at for each in self._pending.values()), default=None
        )
