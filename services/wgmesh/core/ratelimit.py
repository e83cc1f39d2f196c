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


class TokenBucket:
    """Gives out `rate` tokens a second, and `burst` at once. It is full at first.

    `now` is in seconds and never decreases. Floods are turned away here, so a call makes no objects.
    """

    __slots__ = ("_burst", "_filled_at", "_rate", "tokens")

    def __init__(self, rate: float, burst: float, now: float = 0.0) -> None:
        self._rate = rate
        self._burst = burst
        self._filled_at = now
        self.tokens: float = burst

    def holds(self, now: float, cost: float = 1.0) -> bool:
        """Whether `cost` tokens are there. Takes none."""
        tokens = self.tokens + (now - self._filled_at) * self._rate
        self.tokens = tokens if tokens < self._burst else self._burst
        self._filled_at = now
        return self.tokens >= cost

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Takes `cost` tokens if they are there."""
        if not self.holds(now, cost):
            return False
        self.tokens -= cost
        return True

    def give_back(self, now: float) -> None:
        """Puts a token back that was taken for something that turned out to be harmless."""
        self.holds(now)
        self.tokens = min(self.tokens + 1, self._burst)


class RateLimiter(Generic[SourceT]):
    """Admits `rate` messages a second from each source, and `burst` at once.

    The source that was quiet for longest is forgotten first, and starts with a full bucket when it returns.
    """

    def __init__(self, rate: float = RATE_PER_S, burst: float = BURST, max_sources: int = MAX_SOURCES) -> None:
        self._rate = rate
        self._burst = burst
        self._max_sources = max_sources
        self._buckets: OrderedDict[SourceT, TokenBucket] = OrderedDict()

    def admit(self, source: SourceT, now: float) -> Admission:
        """Counts one message from `source` at `now` (seconds, never decreasing)."""
        bucket = self._bucket(source, now)
        if bucket.take(now):
            return Admission(True, bucket.tokens, 0)
        return Admission(False, 0, (1 - bucket.tokens) / self._rate)

    def allows(self, source: SourceT, now: float) -> bool:
        """As `admit`, with the bare verdict."""
        return self._bucket(source, now).take(now)

    def _bucket(self, source: SourceT, now: float) -> TokenBucket:
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = TokenBucket(self._rate, self._burst, now)
            if len(self._buckets) > self._max_sources:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(source)
        return bucket
