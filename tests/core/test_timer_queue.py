"""Which key is due when: a heap that must agree with a plain look at all keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.timer_queue import SPARE_ENTRIES, TimerQueue

_STEP = st.tuples(st.sampled_from(["set", "drop", "take", "take all"]), st.integers(0, 5), st.integers(0, 20))


@given(st.lists(_STEP, max_size=200))
def test_an_agenda_answers_like_a_look_at_every_key(steps: list[tuple[str, int, int]]) -> None:
    agenda: TimerQueue[int] = TimerQueue()
    model: dict[int, float] = {}
    for step, key, at in steps:
        match step:
            case "set":
                agenda.set(key, at)
                model[key] = at
            case "drop":
                agenda.drop(key)
                model.pop(key, None)
            case "take":
                taken = agenda.take(at)
                earliest = min(model.values(), default=None)
                if earliest is None or earliest > at:
                    assert taken is None
                else:
                    assert taken is not None and model.pop(taken) == earliest
            case _:
                due = {each for each, due_at in model.items() if due_at <= at}
                assert set(agenda.take_all(at)) == due
                model = {each: due_at for each, due_at in model.items() if each not in due}
        assert agenda.next_at() == min(model.values(), default=None)
        assert set(agenda) == set(model) and len(agenda) == len(model)


def test_keys_come_in_the_order_of_their_instants_and_then_of_their_setting() -> None:
    agenda: TimerQueue[str] = TimerQueue()
    for key, at in (("late", 9.0), ("first", 1.0), ("second", 1.0), ("moved", 1.0)):
        agenda.set(key, at)
    agenda.set("moved", 2.0)
    assert agenda.take_all(9.0) == ["first", "second", "moved", "late"]
    assert agenda.take(9.0) is None


def test_a_key_whose_instant_changes_all_the_time_leaves_no_heap_behind() -> None:
    agenda: TimerQueue[int] = TimerQueue()
    for number in range(10_000):
        agenda.set(number % 3, number)
    assert len(agenda._heap) <= 2 * 3 + SPARE_ENTRIES + 1
    assert agenda.take_all(1e6) == [9997 % 3, 9998 % 3, 9999 % 3]
