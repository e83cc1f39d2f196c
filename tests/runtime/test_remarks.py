"""What is wrong is said once, and no attack fills the log with it."""

from __future__ import annotations

from wgmesh.runtime.remarks import LINES_AT_ONCE, LINES_PER_S, Remarks


def test_a_remark_is_made_once_while_it_is_true_and_again_when_it_comes_back() -> None:
    remarks = Remarks[str](0.0)

    assert remarks.new(["a", "b", "a"], 0.0) == [("a", 0), ("b", 0)]
    assert remarks.new(["b", "a"], 1.0) == []
    assert remarks.new(["b"], 2.0) == []
    assert remarks.new(["a", "b"], 3.0) == [("a", 0)]


def test_remarks_that_change_all_the_time_are_counted_and_not_all_made() -> None:
    remarks, seconds = Remarks[int](0.0), 1000
    lines = [
        line for turn in range(seconds * 10) for line in remarks.new(range(turn * 100, turn * 100 + 100), turn / 10)
    ]

    assert len(lines) <= LINES_AT_ONCE + LINES_PER_S * seconds
    assert len(lines) >= LINES_PER_S * seconds - 1
    assert sum(unsaid + 1 for _, unsaid in lines) >= seconds * 1000 - 100 / LINES_PER_S * 10
