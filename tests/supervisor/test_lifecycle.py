from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.supervisor.lifecycle import (
    IS_OVER,
    RESTART_DELAYS_S,
    STABLE_AFTER_S,
    TRANSITIONS,
    Effect,
    IllegalTransition,
    Input,
    Lifecycle,
    State,
    advance,
    diagram,
)

HAS_PROCESS = {State.STARTING, State.RUNNING, State.RESTARTING, State.STOPPING, State.HASTENING, State.KILLING}


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


def test_giving_up_before_the_first_readiness_is_final() -> None:
    assert after(Input.START, Input.GAVE_UP).state is State.FAILED
    assert after(Input.START, Input.EXITED, Input.DEADLINE, Input.GAVE_UP).state is State.FAILED


def test_giving_up_after_a_readiness_is_an_ordinary_exit() -> None:
    restarted = after(Input.START, Input.READY, Input.EXITED, Input.DEADLINE)

    assert advance(restarted, Input.GAVE_UP, 0.0)[0].state is State.BACKOFF


def test_a_child_that_never_gets_ready_is_killed_and_tried_again() -> None:
    life = after(Input.START)
    assert life.due_at is not None

    life, effect = advance(life, Input.DEADLINE, life.due_at)

    assert effect is Effect.KILL
    assert advance(life, Input.EXITED, 100.0)[0].state is State.RETRYING


def test_a_child_that_ignores_termination_is_killed_and_at_last_abandoned() -> None:
    life, effects = after(Input.START, Input.READY, Input.STOP), []
    while life.due_at is not None:
        life, effect = advance(life, Input.DEADLINE, life.due_at)
        effects.append(effect)

    assert effects == [Effect.KILL, Effect.NONE]
    assert life.state is State.STOPPED


def test_an_input_that_cannot_happen_is_refused() -> None:
    with pytest.raises(IllegalTransition, match="ready while waiting"):
        advance(Lifecycle(), Input.READY, 0.0)


@given(st.lists(st.sampled_from(Input)))
def test_a_process_is_forked_only_when_there_is_none(inputs: list[Input]) -> None:
    life, alive = Lifecycle(), False
    for event in inputs:
        if (life.state, event) not in TRANSITIONS or (
            event in (Input.READY, Input.EXITED, Input.GAVE_UP) and not alive
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
    assert len(diagram().splitlines()) == len(TRANSITIONS) + 1


def after(*inputs: Input) -> Lifecycle:
    life = Lifecycle()
    for event in inputs:
        life, _ = advance(life, event, 0.0)
    return life
