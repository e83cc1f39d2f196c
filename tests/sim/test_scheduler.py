from __future__ import annotations

import pytest
from wgmesh.sim.chance import Chance
from wgmesh.sim.scheduler import Scheduler


def test_calls_run_in_the_order_of_their_time_then_of_their_making() -> None:
    scheduler, seen = Scheduler(100.0), []
    for at, name in ((103.0, "c"), (101.0, "a"), (101.0, "b")):
        scheduler.call_at(at, lambda name=name: seen.append((scheduler.now, name)))  # type: ignore[misc]
    scheduler.run_until(102.0)
    assert seen == [(101.0, "a"), (101.0, "b")]
    assert scheduler.now == 102.0


def test_a_cancelled_call_never_runs_and_one_in_the_past_runs_at_once() -> None:
    scheduler, seen = Scheduler(100.0), []
    scheduler.call_at(101.0, lambda: seen.append("cancelled")).cancel()
    scheduler.call_at(5.0, lambda: seen.append("late"))
    scheduler.run_until(200.0)
    assert seen == ["late"]


def test_time_that_stands_still_is_an_error_and_no_endless_loop() -> None:
    scheduler = Scheduler(0.0)

    def again() -> None:
        scheduler.call_later(0.0, again)

    again()
    with pytest.raises(RuntimeError, match="stands still"):
        scheduler.run_until(1.0)


def test_chance_gives_the_published_sequence_and_spreads_evenly() -> None:
    assert [Chance(1234567).integer() for _ in range(1)] == [6457827717110365317]
    chance = Chance(7)
    draws = [chance.unit() for _ in range(10_000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert abs(sum(draws) / len(draws) - 0.5) < 0.02
    assert len(chance.random_bytes(13)) == 13
