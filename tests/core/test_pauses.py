from __future__ import annotations

from wgmesh.core.pauses import Pauses


def test_a_pause_doubles_with_each_failure_up_to_the_last() -> None:
    pauses, now, seen = Pauses[str](10.0, 35.0, 4), 0.0, []
    assert pauses.is_over("a", now)
    for _ in range(4):
        pauses.begin("a", now)
        began_at = now
        while not pauses.is_over("a", now):
            now += 1.0
        seen.append(now - began_at)
    assert seen == [10.0, 20.0, 35.0, 35.0]
    assert pauses.is_over("b", 0.0)


def test_what_fails_during_a_pause_is_the_same_failure() -> None:
    pauses = Pauses[str](10.0, 100.0, 4)
    assert [pauses.begin("a", now) for now in (0.0, 1.0, 9.9)] == [True, False, False]
    assert not pauses.is_over("a", 9.9) and pauses.is_over("a", 10.0)
    pauses.begin("a", 10.0)
    assert not pauses.is_over("a", 29.9) and pauses.is_over("a", 30.0)


def test_who_is_forgotten_begins_with_the_first_pause_again() -> None:
    pauses = Pauses[str](10.0, 100.0, 4)
    pauses.begin("a", 0.0)
    pauses.begin("a", 10.0)
    pauses.forget("a")
    assert pauses.is_over("a", 10.0) and pauses.begin("a", 10.0)
    assert not pauses.is_over("a", 19.9) and pauses.is_over("a", 20.0)


def test_no_more_are_remembered_than_the_bound() -> None:
    pauses = Pauses[int](10.0, 100.0, 4)
    for number in range(6):
        pauses.begin(number, 0.0)
    assert len(pauses) == 4
    assert [number for number in range(6) if pauses.is_over(number, 1.0)] == [0, 1]
