from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.nat.rtt_window import BUCKET_S, SAMPLES_PER_BUCKET_MAX, WINDOW_S, RttWindow


def test_without_measurements_there_are_no_quantiles() -> None:
    assert RttWindow().quantiles(0.0) == {}


def test_quantiles_are_nearest_ranks() -> None:
    window = RttWindow()
    for number in range(1, 101):
        window.add(number / 1000, now=1.0)

    assert window.quantiles(1.0) == {0.5: 0.050, 0.95: 0.095, 0.99: 0.099}


def test_measurements_leave_the_window_but_not_the_totals() -> None:
    window = RttWindow()
    window.add(0.5, now=0.0)
    window.add(0.1, now=WINDOW_S - 1)

    assert window.quantiles(WINDOW_S - 1)[0.99] == 0.5
    assert window.quantiles(WINDOW_S)[0.99] == 0.1
    assert window.quantiles(2 * WINDOW_S) == {}
    assert window.count == 2
    assert window.sum_s == pytest.approx(0.6)


def test_a_flapping_peer_cannot_fill_the_memory() -> None:
    window = RttWindow()
    for _ in range(10 * SAMPLES_PER_BUCKET_MAX):
        window.add(0.1, now=1.0)

    assert window.count == 10 * SAMPLES_PER_BUCKET_MAX
    assert sum(len(samples) for _, samples in window._buckets) == SAMPLES_PER_BUCKET_MAX


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2 * BUCKET_S)), min_size=1, max_size=50))
def test_quantiles_are_ordered_and_were_measured(samples: list[tuple[float, float]]) -> None:
    window, now = RttWindow(), 0.0
    for rtt_s, gap in samples:
        now += gap
        window.add(rtt_s, now)

    found = list(window.quantiles(now).values())

    assert found == sorted(found)
    assert set(found) <= {rtt_s for rtt_s, _ in samples}
