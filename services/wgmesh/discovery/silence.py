"""Since when something is sent and nothing comes of it."""

from __future__ import annotations

SILENCE_S = 30.0  # six announcements, or all repeats of several HELLOs: longer than any start takes
SENT_MIN = 3  # one or two datagrams get lost


class Silence:
    """What was sent, and whether anything was ever heard."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._sent_count = 0
        self._is_heard = False

    def sent(self, now: float) -> None:
        if self._since is None:
            self._since = now
        self._sent_count += 1

    def heard(self) -> None:
        """Something has come, so whatever silence follows is an ordinary one."""
        self._is_heard = True

    def begin_again(self) -> None:
        """Forgets what was: the next that is sent waits for its own answer."""
        self._since, self._sent_count, self._is_heard = None, 0, False

    def since(self, now: float) -> float | None:
        """When the first was sent, once nothing has come for so long that the operator should know."""
        is_long = self._since is not None and now - self._since >= SILENCE_S and self._sent_count >= SENT_MIN
        return self._since if is_long and not self._is_heard else None

    def due_at(self, now: float) -> float | None:
        """When `since` may have something to say for the first time."""
        if self._since is None or self._is_heard or now >= self._since + SILENCE_S:
            return None
        return self._since + SILENCE_S
