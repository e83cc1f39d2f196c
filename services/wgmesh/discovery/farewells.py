"""GOODBYEs that wait for confirmation: a peer with a working tunnel is asked before it is believed to have left."""

from __future__ import annotations

from wgmesh.core.model import PublicKey

CONFIRM_S = 2.0  # one long round trip and a resend; a peer that really left is removed this much later
FRESHNESS_S = 60.0  # a GOODBYE is refused beyond this, either way (protocol notes, section 7.7)


class Farewells:
    """Peers that seem to have said goodbye although their tunnel works."""

    def __init__(self) -> None:
        self._pending: dict[PublicKey, tuple[float, int]] = {}

    def suspect(self, key: PublicKey, timestamp: int, now: float) -> None:
        """Waits for a sign of life. A second GOODBYE does not make the wait longer."""
        self._pending.setdefault(key, (now + CONFIRM_S, timestamp))

    def is_pending(self, key: PublicKey) -> bool:
        return key in self._pending

    def clear(self, key: PublicKey) -> None:
        """The peer has answered: it is still here."""
        self._pending.pop(key, None)

    def due(self, now: float) -> list[tuple[PublicKey, int]]:
        """Returns those who gave no sign of life, with the time of their GOODBYE."""
        gone = [(key, timestamp) for key, (until, timestamp) in self._pending.items() if now >= until]
        for key, _ in gone:
            del self._pending[key]
        return gone

    def poll_timeout(self) -> float | None:
        return min((until for until, _ in self._pending.values()), default=None)
