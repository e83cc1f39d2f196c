"""A token bucket for each source, with a bound on how many sources are remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

# upstream's numbers (protocol notes, 7.1)
RATE_PER_S = 10.0
BURST = 20.0
MAX_SOURCES = 4096

SourceT = TypeVar("SourceT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Admission:
    """The verdict on one message. `remaining` is what may follow at once; `retry_after_s` is 0 when allowed."""

    allowed: bool
    remaining: float
    retry_after_s: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimiter(Generic[SourceT]):
    """Admits `rate` messages a second from each source, and `burst` at once.

    The source that was quiet for longest is forgotten first, and starts with a full bucket when it returns.
    """

    def __init__(self, rate: float = RATE_PER_S, burst: float = BURST, max_sources: int = MAX_SOURCES) -> None:
        self._rate = rate
        self._burst = burst
        self._max_sources = max_sources
        self._buckets: OrderedDict[SourceT, _Bucket] = OrderedDict()

    def admit(self, source: SourceT, now: float) -> Admission:
        """Counts one message from `source` at `now` (seconds, never decreasing)."""
        bucket = self._bucket(source, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._rate)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return Admission(False, 0, (1 - bucket.tokens) / self._rate)
        bucket.tokens -= 1
        return Admission(True, bucket.tokens, 0)

    def _bucket(self, source: SourceT, now: float) -> _Bucket:
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = _Bucket(self._burst, now)
            if len(self._buckets) > self._max_sources:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(source)
        return bucket
