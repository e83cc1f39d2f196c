from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.vectors import load_vectors
from wgmesh.core.ratelimit import RateLimiter


def test_every_step_equals_upstreams() -> None:
    limiter: RateLimiter[str] = RateLimiter(rate=10, burst=20, max_sources=3)
    for step in load_vectors("ratelimit")["steps"]:
        admission = limiter.admit(step["ip"], step["at_ms"] / 1000)
        assert admission.allowed is step["allowed"]
        assert admission.remaining == pytest.approx(step["remaining"])
        assert admission.retry_after_s == pytest.approx(step["retry_after_ns"] / 1e9)


def test_the_source_that_was_quiet_for_longest_is_forgotten_first() -> None:
    limiter: RateLimiter[str] = RateLimiter(rate=1, burst=5, max_sources=2)
    for source in ("a", "b", "a", "c"):  # c takes the place of b
        limiter.admit(source, 0.0)
    assert limiter.admit("a", 0.0).remaining == 2
    assert limiter.admit("b", 0.0).remaining == 4


@given(st.lists(st.floats(0, 0.3), max_size=200))
def test_never_more_than_burst_plus_rate_times_time_is_admitted(gaps: list[float]) -> None:
    limiter: RateLimiter[str] = RateLimiter(rate=10, burst=5)
    now, admitted = 0.0, 0
    for gap in gaps:
        now += gap
        admitted += limiter.admit("source", now).allowed
        assert admitted <= 5 + 10 * now + 1e-6


@given(st.lists(st.integers(0, 50), max_size=200))
def test_no_more_sources_are_remembered_than_allowed(sources: list[int]) -> None:
    limiter: RateLimiter[int] = RateLimiter(max_sources=8)
    for source in sources:
        limiter.admit(source, 0.0)
    assert len(limiter._buckets) <= 8
