"""Whether a router has forgotten its mappings, as its epoch tells (RFC 6887, section 8.5; RFC 6886, section 3.6)."""

from __future__ import annotations

BACKWARDS_S = 1  # two answers may overtake each other
SLACK_S = 2
DRIFT = 16  # two clocks may drift apart by a sixteenth


class EpochMemory:
    """The last epoch of one router: seconds since it last lost its mappings."""

    def __init__(self) -> None:
        self._heard: tuple[int, float] | None = None

    def clear(self) -> None:
        """Another router, or another protocol, counts differently."""
        self._heard = None

    def hear(self, epoch_s: int, now: float) -> bool:
        """Takes the epoch of an answer. Whether the router has lost its mappings since the answer before."""
        before, self._heard = self._heard, (epoch_s, now)
        if before is None:
            return False
        if epoch_s + BACKWARDS_S < before[0]:
            return True
        server_s, client_s = epoch_s - before[0], now - before[1]
        return client_s + SLACK_S < server_s - server_s / DRIFT or server_s + SLACK_S < client_s - client_s / DRIFT
