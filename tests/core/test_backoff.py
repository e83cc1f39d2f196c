from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.backoff import delays


def test_waits_double_up_to_the_cap_without_jitter() -> None:
    assert list(islice(delays(1.0, 10.0, random=lambda: 0.5), 6)) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@given(st.floats(0, 1, exclude_max=True), st.floats(0.01, 5), st.floats(0.01, 60))
def test_no_wait_strays_farther_than_the_jitter(drawn: float, first: float, cap: float) -> None:
    for wait in islice(delays(first, cap, random=lambda: drawn, jitter=0.2), 20):
        assert 0.8 * min(first, cap) <= wait + 1e-9
        assert wait <= 1.2 * cap + 1e-9
