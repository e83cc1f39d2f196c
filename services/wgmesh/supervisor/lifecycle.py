"""The life of one child, as a table.

A child is WAITING until what it requires is running. From its first start to its first readiness it is STARTING, or
RETRYING between two attempts; a child that gives up in that time has FAILED, since every further start would end the
same way. Once it has been ready it is never given up: it is RUNNING, or in BACKOFF, or RESTARTING. One that runs and
does not answer is killed (REPLACING), and goes on as one that has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a child is doing."""

    WAITING = "waiting"
    STARTING = "starting"
    RETRYING = "retrying"
    RUNNING = "running"
    REPLACING = "replacing"
    BACKOFF = "backoff"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    HASTENING = "hastening"
    KILLING = "killing"
    STOPPED = "stopped"
    FAILED = "failed"


class Input(StrEnum):
    """What can happen to a child."""

    START = "start"  # its turn has come
    READY = "ready"  # it serves
    EXITED = "exited"  # the process is gone
    GAVE_UP = "gave up"  # the process is gone, and says that another start is of no use
    MUTE = "mute"  # it runs, and nobody gets an answer from it
    DEADLINE = "deadline"  # the state has lasted as long as it may
    STOP = "stop"  # it is to end
    HASTEN = "hasten"  # it is to end now, in any order


class Effect(StrEnum):
    """What the shell must do because of a transition."""

    NONE = "none"
    FORK = "fork"
    TERMINATE = "terminate"
    KILL = "kill"


RESTART_DELAYS_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)  # a single crash costs nothing, a crash loop costs little CPU
STABLE_AFTER_S = 30.0  # a service that has run this long starts again from the first delay
READY_WITHIN_S = 60.0  # services are ready in 50 ms; an emulated machine under load takes seconds
STOP_WITHIN_S = 8.0  # above the 5 s that a service gives itself, below the 10 s after which container engines kill
HASTEN_WITHIN_S = 2.0  # somebody waits at the terminal; enough to take routes back
KILL_WITHIN_S = 2.0  # only a process stuck in the kernel survives SIGKILL; do not wait for that one

TRANSITIONS: dict[tuple[State, Input], tuple[State, Effect]] = {
    (State.WAITING, Input.START): (State.STARTING, Effect.FORK),
    (State.STARTING, Input.READY): (State.RUNNING, Effect.NONE),
    (State.STARTING, Input.EXITED): (State.RETRYING, Effect.NONE),
    (State.STARTING, Input.GAVE_UP): (State.FAILED, Effect.NONE),
    (State.STARTING, Input.DEADLINE): (State.STARTING, Effect.KILL),
    (State.RETRYING, Input.DEADLINE): (State.STARTING, Effect.FORK),
    (State.RUNNING, Input.READY): (State.RUNNING, Effect.NONE),
    (State.RUNNING, Input.EXITED): (State.BACKOFF, Effect.NONE),
    (State.RUNNING, Input.GAVE_UP): (State.BACKOFF, Effect.NONE),
    (State.RUNNING, Input.MUTE): (State.REPLACING, Effect.KILL),
    (State.REPLACING, Input.READY): (State.REPLACING, Effect.NONE),
    (State.REPLACING, Input.EXITED): (State.BACKOFF, Effect.NONE),
    (State.REPLACING, Input.GAVE_UP): (State.BACKOFF, Effect.NONE),
    (State.BACKOFF, Input.DEADLINE): (State.RESTARTING, Effect.FORK),
    (State.RESTARTING, Input.READY): (State.RUNNING, Effect.NONE),
    (State.RESTARTING, Input.EXITED): (State.BACKOFF, Effect.NONE),
    (State.RESTARTING, Input.GAVE_UP): (State.BACKOFF, Effect.NONE),
    (State.RESTARTING, Input.DEADLINE): (State.RESTARTING, Effect.KILL),
    (State.STOPPING, Input.DEADLINE): (State.KILLING, Effect.KILL),
    (State.HASTENING, Input.DEADLINE): (State.KILLING, Effect.KILL),
    (State.KILLING, Input.DEADLINE): (State.STOPPED, Effect.NONE),
    **{
        (state, event): after
        for state in (State.STOPPING, State.HASTENING, State.KILLING, State.STOPPED)
        for event, after in (
            (Input.READY, (state, Effect.NONE)),
            (Input.EXITED, (State.STOPPED, Effect.NONE)),
            (Input.GAVE_UP, (State.STOPPED, Effect.NONE)),
        )
    },
    **{
        (state, event): (State.STOPPED, Effect.NONE)
        for state in (State.WAITING, State.RETRYING, State.BACKOFF)  # there is no process
        for event in (Input.STOP, Input.HASTEN)
    },
    **{
        (state, event): after
        for state in (State.STARTING, State.RUNNING, State.REPLACING, State.RESTARTING)
        for event, after in (
            (Input.STOP, (State.STOPPING, Effect.TERMINATE)),
            (Input.HASTEN, (State.HASTENING, Effect.TERMINATE)),
        )
    },
    (State.STOPPING, Input.HASTEN): (State.HASTENING, Effect.TERMINATE),
    (State.HASTENING, Input.HASTEN): (State.KILLING, Effect.KILL),
}

IS_STOPPING = frozenset({State.STOPPING, State.HASTENING, State.KILLING})
IS_OVER = frozenset({State.STOPPED, State.FAILED})


class Phase(StrEnum):
    """What the states amount to for those who use the child."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"


PHASES = {
    State.WAITING: Phase.STARTING,
    State.STARTING: Phase.STARTING,
    State.RETRYING: Phase.STARTING,
    State.RUNNING: Phase.RUNNING,
    State.REPLACING: Phase.RESTARTING,
    State.BACKOFF: Phase.RESTARTING,
    State.RESTARTING: Phase.RESTARTING,
    **dict.fromkeys(IS_STOPPING | IS_OVER, Phase.STOPPING),
}

_LASTS_S = {
    State.STARTING: READY_WITHIN_S,
    State.RESTARTING: READY_WITHIN_S,
    State.STOPPING: STOP_WITHIN_S,
    State.HASTENING: HASTEN_WITHIN_S,
    State.KILLING: KILL_WITHIN_S,
}


class IllegalTransition(RuntimeError):
    """An input that cannot happen in this state: a bug of the shell."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Where a child is. Times are seconds of one monotonic clock; `due_at` None means that the state may last."""

    state: State = State.WAITING
    since: float = 0.0
    due_at: float | None = None
    failure_count: int = 0  # exits in a row without a stable run between them
    phase_since: float | None = None  # when what the state amounts to last changed

    @property
    def phase(self) -> Phase:
        """What the state amounts to."""
        return PHASES[self.state]


def advance(life: Lifecycle, event: Input, now: float) -> tuple[Lifecycle, Effect]:
    """Returns where the child is after `event`, and what the shell must do. Raises IllegalTransition."""
    try:
        state, effect = TRANSITIONS[life.state, event]
    except KeyError:
        raise IllegalTransition(f"{event.value} while {life.state.value}") from None
    if state is life.state and effect is Effect.NONE:
        return life, effect
    failure_count = life.failure_count
    if life.state is State.RUNNING and now - life.since >= STABLE_AFTER_S:
        failure_count = 0
    if state in (State.RETRYING, State.BACKOFF):
        due_at: float | None = now + RESTART_DELAYS_S[min(failure_count, len(RESTART_DELAYS_S) - 1)]
        failure_count += 1
    else:
        due_at = now + _LASTS_S[state] if state in _LASTS_S else None
    phase_since = now if life.phase_since is None or PHASES[state] is not life.phase else life.phase_since
    return Lifecycle(state, now, due_at, failure_count, phase_since), effect


def diagram() -> str:
    """Returns the table as a Mermaid state diagram."""
    edges = (f"    {old} --> {new}: {event}" for (old, event), (new, _) in TRANSITIONS.items())
    return "\n".join(("stateDiagram-v2", *edges))
