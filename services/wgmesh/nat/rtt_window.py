"""The round trip times of the last ten minutes, for the quantiles of one peer."""

from __future__ import annotations

import math
from collections import deque

WINDOW_S = 600.0  # as upstream's summary: ten minutes in five age buckets
AGE_BUCKETS = 5
BUCKET_S = WINDOW_S / AGE_BUCKETS
SAMPLES_PER_BUCKET_MAX = 256  # one probe in 30 s gives four; the bound is for a peer that flaps

QUANTILES = (0.5, 0.95, 0.99)


class RttWindow:
    """A sliding window that forgets one age bucket at a time. `now` is seconds and never decreases."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, list[float]]] = deque(maxlen=AGE_BUCKETS)
        self.count = 0  # of all measurements ever made
        self.sum_s = 0.0

    def add(self, rtt_s: float, now: float) -> None:
        self.count += 1
        self.sum_s += rtt_s
        number = int(now // BUCKET_S)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, []))
        samples = self._buckets[-1][1]
        if len(samples) < SAMPLES_PER_BUCKET_MAX:
            samples.append(rtt_s)

    def quantiles(self, now: float) -> dict[float, float]:
        """Returns the nearest-rank quantiles in seconds; empty when nothing was measured within the window."""
        oldest = int(now // BUCKET_S) - AGE_BUCKETS + 1
        samples = sorted(rtt for number, rtts in self._buckets if number >= oldest for rtt in rtts)
        if not samples:
            return {}
        return {quantile: samples[math.ceil(quantile * len(samples)) - 1] for quantile in QUANTILES}
