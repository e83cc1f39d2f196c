"""What is said once while it is true, and never faster than a log can bear: others decide how often it changes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from wgmesh.core.ratelimit import TokenBucket
from wgmesh.runtime.log_lines import EQUAL_LINES_AT_ONCE, EQUAL_LINES_EVERY_S

LINES_PER_S = 1 / EQUAL_LINES_EVERY_S  # faster than that the log does not take them
LINES_AT_ONCE = EQUAL_LINES_AT_ONCE

RemarkT = TypeVar("RemarkT", bound=Hashable)


class Remarks(Generic[RemarkT]):
    """Remembers what was true at the last look. `now` is monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._true: frozenset[RemarkT] = frozenset()
        self._bucket = TokenBucket(LINES_PER_S, LINES_AT_ONCE, now)
        self._unsaid = 0

    def new(self, true: Iterable[RemarkT], now: float) -> list[tuple[RemarkT, int]]:
        """What to say now, and with each remark how many others were left unsaid before it."""
        before, remarks = self._true, list(dict.fromkeys(true))
        self._true = frozenset(remarks)
        lines: list[tuple[RemarkT, int]] = []
        for remark in remarks:
            if remark in before:
                continue
            if self._bucket.take(now):
                lines.append((remark, self._unsaid))
                self._unsaid = 0
            else:
                self._unsaid += 1
        return lines
