"""A child that is silent while the supervisor looks and looks is not running; everything else is no proof."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.supervisor.heartbeats import LOOK_EVERY_S, LOOK_PHASE_S, REPLACED_AFTER_S, SILENT_AFTER_S, Heartbeats

START = 1000.0 + LOOK_PHASE_S


def watched(*names: str) -> Heartbeats:
    heartbeats = Heartbeats(START)
    for name in names:
        heartbeats.watch(name)
    return heartbeats


def looks(count: int) -> list[float]:
    """When the next looks are, on a machine that is not busy."""
    return [START + (number + 1) * LOOK_EVERY_S for number in range(count)]


def test_a_child_that_says_nothing_is_shown_at_the_third_look_and_replaced_at_the_fifth() -> None:
    heartbeats = watched("nat", "node")
    shown, replaced = [], []
    for now in looks(5):
        replaced.append(heartbeats.look({"node"}, now))
        shown.append(heartbeats.silence_s("nat") is not None)

    assert shown == [False, False, True, True, True]
    assert replaced == [(), (), (), (), ("nat",)]
    assert heartbeats.silence_s("node") is None


def test_one_word_ends_a_silence() -> None:
    heartbeats = watched("nat")
    for now in looks(4):
        heartbeats.look((), now)

    assert heartbeats.look({"nat"}, looks(5)[-1]) == ()
    assert heartbeats.silence_s("nat") is None


def test_a_supervisor_that_was_not_given_the_processor_blames_nobody_for_that_time() -> None:
    """As after the sleep of a laptop, the freezer of a container engine, or on a machine that swaps."""
    heartbeats = watched("nat")

    assert heartbeats.look((), START + 3600.0) == ()
    assert heartbeats.silence_s("nat") is None


def test_a_child_that_is_not_watched_is_not_blamed() -> None:
    heartbeats = watched("nat", "node")
    heartbeats.forget("nat")
    heartbeats.forget("nat")

    assert [heartbeats.look((), now) for now in looks(5)][-1] == ("node",)
    assert heartbeats.silence_s("nat") is None


def test_a_new_process_of_a_child_begins_without_the_silence_of_the_last_one() -> None:
    heartbeats = watched("nat")
    for now in looks(4):
        heartbeats.look((), now)

    heartbeats.watch("nat")

    assert heartbeats.look((), looks(5)[-1]) == ()


@pytest.mark.parametrize("late_s", [0.0, 0.3, 7.2])
def test_looks_are_due_shortly_after_each_whole_second_at_which_children_beat(late_s: float) -> None:
    heartbeats = watched("nat")
    due_at = heartbeats.due_at()
    assert due_at == pytest.approx(START + LOOK_EVERY_S)

    heartbeats.look((), due_at + late_s)

    after = heartbeats.due_at()
    assert due_at + late_s < after <= due_at + late_s + LOOK_EVERY_S
    assert after % LOOK_EVERY_S == pytest.approx(LOOK_PHASE_S)


@given(st.lists(st.floats(0.001, 30.0), min_size=1, max_size=40))
def test_whatever_the_looks_are_no_child_is_blamed_before_enough_of_them_have_found_it_silent(
    gaps: list[float],
) -> None:
    heartbeats, now = watched("nat"), START
    for number, gap in enumerate(gaps, start=1):
        now += gap
        replaced = heartbeats.look((), now)
        if replaced or heartbeats.silence_s("nat") is not None:
            bound = REPLACED_AFTER_S if replaced else SILENT_AFTER_S
            assert number * LOOK_EVERY_S >= bound
            assert now - START >= bound - 1e-6
