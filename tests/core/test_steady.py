"""What goes to and fro is told seldom, and what stays is told once."""

from __future__ import annotations

import itertools

from wgmesh.core.steady import Steady

SETTLE_S, GAP_S = 5.0, 60.0


def told(values: list[str], settle_s: float = SETTLE_S) -> list[tuple[int, str]]:
    """What is told of a value that has these values, one each second."""
    steady = Steady("a", settle_s, GAP_S)
    found = []
    for second, value in enumerate(values):
        steady.note(value, float(second))
        if (taken := steady.take(float(second))) is not None:
            found.append((second, taken))
    return found


def test_a_change_that_stays_is_told_once_after_it_has_settled() -> None:
    assert told(["a"] * 3 + ["b"] * 200) == [(8, "b")]


def test_a_value_that_never_rests_is_never_told() -> None:
    assert told(["a", "b"] * 100) == []


def test_a_change_that_is_taken_back_in_time_is_not_told() -> None:
    assert told(["a"] * 3 + ["b"] * 4 + ["a"] * 200) == []


def test_two_changes_are_told_a_minute_apart_and_only_the_last_of_those_between() -> None:
    assert told(["b"] * 10 + ["c"] * 10 + ["d"] * 100) == [(5, "b"), (65, "d")]


def test_without_settling_the_first_change_is_told_at_once_and_flapping_once_a_minute_at_most() -> None:
    flapping = told(["b", "a"] * 150, settle_s=0.0)

    assert flapping[0] == (0, "b")
    assert all(later - earlier >= GAP_S for (earlier, _), (later, _) in itertools.pairwise(flapping))
    assert len(flapping) <= 5
