"""Steady time, and the clock beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.clock import JUMP_S, SteadyClock, WallClock

START = 1_800_000_000.0
JUMPS = st.floats(-1e9, 1e9)


class Host:
    """A machine whose clock anybody may set."""

    def __init__(self) -> None:
        self.since_boot_s = 100.0
        self.clock_s = START
        self.steady = SteadyClock(lambda: self.since_boot_s, lambda: self.clock_s)

    def wait(self, seconds: float) -> None:
        self.since_boot_s += seconds
        self.clock_s += seconds


@given(st.lists(st.tuples(JUMPS, st.floats(0, 1e6))))
def test_steady_time_begins_as_the_clock_and_goes_on_whatever_becomes_of_it(steps: list[tuple[float, float]]) -> None:
    host, waited_s = Host(), 0.0
    for jump_s, wait_s in steps:
        host.clock_s += jump_s
        host.wait(wait_s)
        waited_s += wait_s
        assert host.steady.now() == pytest.approx(START + waited_s, abs=0.01)
        assert host.steady.now() + host.steady.ahead_s() == pytest.approx(host.clock_s, abs=0.01)


@given(JUMPS, JUMPS)
def test_a_time_by_the_clock_and_a_steady_one_lead_to_each_other(ahead_s: float, since_start_s: float) -> None:
    wall = WallClock(ahead_s)
    assert wall.when(wall.at(START + since_start_s)) == pytest.approx(START + since_start_s, abs=0.01)


def test_a_clock_that_creeps_has_not_jumped_and_is_followed_all_the_same() -> None:
    wall = WallClock()
    assert wall.set(0.9 * JUMP_S) == 0.0
    assert wall.at(START) == START + 0.9 * JUMP_S
    assert wall.set(-0.05) == 0.0
    assert wall.set(3600.0) == pytest.approx(3600.05)
    assert wall.set(3600.0) == 0.0
