from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.supervisor.lifecycle import (
    HASTEN_WITHIN_S,
    IS_OVER,
    KILL_WITHIN_S,
    PHASES,
    READY_WITHIN_S,
    RESTART_DELAYS_S,
    STABLE_AFTER_S,
    TRANSITIONS,
    Effect,
    IllegalTransition,
    Input,
    Lifecycle,
    Phase,
    State,
    advance,
    diagram,
)

HAS_PROCESS = {
    State.STARTING, State.RUNNING, State.REPLACING, State.RESTARTING, State.STOPPING, State.HASTENING, State.KILLING,
}  # fmt: skip


def test_a_child_that_becomes_ready_is_running() -> None:
    life = after(Input.START, Input.READY)

    assert life.state is State.RUNNING
    assert life.due_at is None


def test_a_first_crash_is_answered_at_once_and_a_crash_loop_ever_more_slowly_up_to_a_cap() -> None:
    life, now, delays = after(Input.START, Input.READY), 0.0, []
    for _ in range(len(RESTART_DELAYS_S) + 2):
        life, _ = advance(life, Input.EXITED, now)
        assert life.due_at is not None
        delays.append(round(life.due_at - now, 6))
        now = life.due_at
        life, _ = advance(life, Input.DEADLINE, now)
        life, _ = advance(life, Input.READY, now)

    assert delays == [*RESTART_DELAYS_S, RESTART_DELAYS_S[-1], RESTART_DELAYS_S[-1]]


def test_a_child_that_ran_long_enough_starts_again_from_the_first_delay() -> None:
    worn = Lifecycle(State.RUNNING, since=0.0, failure_count=5)

    life, _ = advance(worn, Input.EXITED, STABLE_AFTER_S)

    assert life.due_at == STABLE_AFTER_S + RESTART_DELAYS_S[0]


def test_how_long_a_child_ran_is_counted_from_its_own_start() -> None:
    worn = Lifecycle(State.RUNNING, since=1000.0, failure_count=2)

    for ran_s, delay_s in ((STABLE_AFTER_S - 1, RESTART_DELAYS_S[2]), (STABLE_AFTER_S, RESTART_DELAYS_S[0])):
        assert advance(worn, Input.EXITED, 1000.0 + ran_s)[0].due_at == 1000.0 + ran_s + delay_s


def test_a_child_that_says_again_that_it_is_ready_does_not_begin_its_run_again() -> None:
    worn = Lifecycle(State.RUNNING, since=0.0, failure_count=5)

    still_running, effect = advance(worn, Input.READY, STABLE_AFTER_S - 1)
    life, _ = advance(still_running, Input.EXITED, STABLE_AFTER_S)

    assert effect is Effect.NONE
    assert life.due_at == STABLE_AFTER_S + RESTART_DELAYS_S[0]


def test_a_child_that_hangs_in_its_restart_has_not_run_however_long_it_takes() -> None:
    hanging = Lifecycle(State.RESTARTING, since=0.0, due_at=READY_WITHIN_S, failure_count=3)

    life, _ = advance(hanging, Input.EXITED, STABLE_AFTER_S + 1)

    assert life.due_at == STABLE_AFTER_S + 1 + RESTART_DELAYS_S[3]


def test_giving_up_before_the_first_readiness_is_final() -> None:
    assert after(Input.START, Input.GAVE_UP).state is State.FAILED
    assert after(Input.START, Input.EXITED, Input.DEADLINE, Input.GAVE_UP).state is State.FAILED


def test_giving_up_after_a_readiness_is_an_ordinary_exit() -> None:
    restarted = after(Input.START, Input.READY, Input.EXITED, Input.DEADLINE)

    assert advance(restarted, Input.GAVE_UP, 0.0)[0].state is State.BACKOFF


def test_a_child_that_runs_and_does_not_answer_is_killed_and_goes_on_as_one_that_has_ended() -> None:
    life, effect = advance(after(Input.START, Input.READY), Input.MUTE, 100.0)

    assert (life.state, life.due_at, effect) == (State.REPLACING, None, Effect.KILL)  # a SIGKILL is never lost
    for end in (Input.EXITED, Input.GAVE_UP):
        assert advance(life, end, 100.0)[0].due_at == 100.0 + RESTART_DELAYS_S[0]


def test_a_child_that_hangs_again_and_again_is_replaced_ever_more_slowly() -> None:
    life, now, delays = after(Input.START, Input.READY), 0.0, []
    for _ in range(3):
        life, _ = advance(life, Input.MUTE, now + 5.0)
        life, _ = advance(life, Input.EXITED, now + 5.0)
        assert life.due_at is not None
        delays.append(round(life.due_at - now - 5.0, 6))
        now = life.due_at
        life, _ = advance(life, Input.DEADLINE, now)
        life, _ = advance(life, Input.READY, now)

    assert delays == [*RESTART_DELAYS_S[:3]]


@pytest.mark.parametrize("order", [Input.STOP, Input.HASTEN])
def test_a_child_that_is_being_replaced_can_be_stopped(order: Input) -> None:
    life, effect = advance(after(Input.START, Input.READY, Input.MUTE), order, 0.0)

    assert effect is Effect.TERMINATE
    assert advance(life, Input.EXITED, 0.0)[0].state is State.STOPPED


def test_a_phase_lasts_from_its_first_state_on_however_often_the_states_in_it_change() -> None:
    life, _ = advance(Lifecycle(), Input.START, 10.0)
    assert (life.phase, life.phase_since) == (Phase.STARTING, 10.0)

    for event, now in ((Input.EXITED, 11.0), (Input.DEADLINE, 12.0)):
        life, _ = advance(life, event, now)
        assert (life.phase, life.phase_since) == (Phase.STARTING, 10.0)
    life, _ = advance(life, Input.READY, 13.0)
    assert (life.phase, life.phase_since) == (Phase.RUNNING, 13.0)
    for event, now in ((Input.MUTE, 20.0), (Input.EXITED, 21.0), (Input.DEADLINE, 22.0), (Input.EXITED, 23.0)):
        life, _ = advance(life, event, now)
        assert (life.phase, life.phase_since) == (Phase.RESTARTING, 20.0)


def test_every_state_amounts_to_something() -> None:
    assert PHASES.keys() == set(State)


def test_a_child_that_never_gets_ready_is_killed_and_tried_again() -> None:
    life = after(Input.START)
    assert life.due_at == READY_WITHIN_S

    life, effect = advance(life, Input.DEADLINE, READY_WITHIN_S)

    assert effect is Effect.KILL
    assert life.due_at == 2 * READY_WITHIN_S  # not at once again: the process needs a moment to end
    assert advance(life, Input.EXITED, 100.0)[0].state is State.RETRYING


def test_a_child_that_ignores_termination_is_killed_and_at_last_abandoned() -> None:
    life, effects = after(Input.START, Input.READY, Input.STOP), []
    while life.due_at is not None:
        life, effect = advance(life, Input.DEADLINE, life.due_at)
        effects.append(effect)

    assert effects == [Effect.KILL, Effect.NONE]
    assert life.state is State.STOPPED


def test_a_child_that_is_asked_to_hasten_during_a_stop_has_less_patience_each_time() -> None:
    stopping = after(Input.START, Input.READY, Input.STOP)

    hastening, first = advance(stopping, Input.HASTEN, 100.0)
    killing, second = advance(hastening, Input.HASTEN, 101.0)

    assert (hastening.state, hastening.due_at, first) == (State.HASTENING, 100.0 + HASTEN_WITHIN_S, Effect.TERMINATE)
    assert (killing.state, killing.due_at, second) == (State.KILLING, 101.0 + KILL_WITHIN_S, Effect.KILL)


@pytest.mark.parametrize("orders", [(Input.STOP,), (Input.HASTEN,), (Input.HASTEN, Input.HASTEN)])
def test_a_child_that_is_being_stopped_may_still_say_that_it_is_ready_and_has_stopped_when_it_ends(
    orders: tuple[Input, ...],
) -> None:
    stopping = after(Input.START, *orders)

    assert advance(stopping, Input.READY, 0.0) == (stopping, Effect.NONE)
    for end in (Input.EXITED, Input.GAVE_UP):
        assert advance(stopping, end, 0.0) == (Lifecycle(State.STOPPED, phase_since=0.0), Effect.NONE)


def test_an_input_that_cannot_happen_is_refused() -> None:
    with pytest.raises(IllegalTransition, match="ready while waiting"):
        advance(Lifecycle(), Input.READY, 0.0)


@given(st.lists(st.sampled_from(Input)))
def test_a_process_is_forked_only_when_there_is_none(inputs: list[Input]) -> None:
    life, alive = Lifecycle(), False
    for event in inputs:
        if (life.state, event) not in TRANSITIONS or (
            event in (Input.READY, Input.MUTE, Input.EXITED, Input.GAVE_UP) and not alive
        ):
            continue
        if event in (Input.EXITED, Input.GAVE_UP):
            alive = False
        life, effect = advance(life, event, 0.0)
        assert not (effect is Effect.FORK and alive)
        alive = alive or effect is Effect.FORK
        assert not alive or life.state in HAS_PROCESS | {State.STOPPED}  # stopped: abandoned after SIGKILL


@given(st.sampled_from(State))
def test_from_every_state_a_stop_and_patience_lead_to_an_end(state: State) -> None:
    life = Lifecycle(state, due_at=0.0 if state in (State.RETRYING, State.BACKOFF) else None)
    if (state, Input.STOP) in TRANSITIONS:
        life, _ = advance(life, Input.STOP, 0.0)
    elif state not in IS_OVER:
        life, _ = advance(life, Input.DEADLINE, 0.0)
    for _ in range(4):
        if life.due_at is not None:
            life, _ = advance(life, Input.DEADLINE, life.due_at)

    assert life.state in IS_OVER


def test_the_diagram_shows_every_transition() -> None:
    kind, first, *others = diagram().splitlines()

    assert (kind, first) == ("stateDiagram-v2", "    waiting --> starting: start")
    assert len(others) == len(TRANSITIONS) - 1


def after(*inputs: Input) -> Lifecycle:
    life = Lifecycle()
    for event in inputs:
        life, _ = advance(life, event, 0.0)
    return life
