"""All children of one node: their lifecycles, their order, and whether the node is starting up or stopping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wgmesh.supervisor import ordering
from wgmesh.supervisor.lifecycle import IS_OVER, Effect, Input, Lifecycle, State, advance


@dataclass(frozen=True, slots=True)
class Order:
    """Something that the shell must do to a child."""

    effect: Effect
    name: str


class Supervision:
    """Decides for a set of children. The shell reports what happened, then carries out what `turn` returns.

    `now` is seconds of one monotonic clock. `turn` must be called after every report and no later than `due_at` says.
    """

    def __init__(self, requires: Mapping[str, frozenset[str]]) -> None:
        """Raises InvalidInput if the requirements cannot be met in any order."""
        ordering.check(requires)
        self._requires = requires
        self._lives = {name: Lifecycle() for name in requires}
        self._orders: list[Order] = []
        self._is_stopping = False

    @property
    def states(self) -> dict[str, State]:
        """The state of each child."""
        return {name: life.state for name, life in self._lives.items()}

    @property
    def lives(self) -> Mapping[str, Lifecycle]:
        """Where each child is in its life."""
        return self._lives

    @property
    def is_stopping(self) -> bool:
        """Whether nothing is started any more."""
        return self._is_stopping

    @property
    def is_over(self) -> bool:
        """Whether no child lives or will live."""
        return all(life.state in IS_OVER for life in self._lives.values())

    def restart_due_at(self, name: str) -> float | None:
        """Returns when the child's state ends by itself."""
        return self._lives[name].due_at

    def report(self, name: str, event: Input, now: float) -> None:
        """Takes READY, MUTE, EXITED or GAVE_UP of a child. A child that has failed stops all others."""
        self._advance(name, event, now)
        if self._lives[name].state is State.FAILED:
            self._is_stopping = True

    def stop(self) -> None:
        """Stops all children, those first that nobody requires."""
        self._is_stopping = True

    def hasten(self, now: float) -> None:
        """Stops all children without order and with little patience; asked a second time, kills them."""
        self._is_stopping = True
        for name, life in tuple(self._lives.items()):
            if life.state not in IS_OVER and life.state is not State.KILLING:
                self._advance(name, Input.HASTEN, now)

    def turn(self, now: float) -> tuple[Order, ...]:
        """Does what is due at `now` and returns what the shell must do, in this order."""
        for name, life in tuple(self._lives.items()):
            if life.due_at is not None and life.due_at <= now and not self._waits_in_vain(life):
                self._advance(name, Input.DEADLINE, now)
        if self._is_stopping:
            # a child without a process is over at once, which may free the next: go on until nothing changes
            while names := ordering.stoppable(self._requires, self.states):
                for name in names:
                    self._advance(name, Input.STOP, now)
        else:
            for name in ordering.startable(self._requires, self.states):
                self._advance(name, Input.START, now)
        orders, self._orders = tuple(self._orders), []
        return orders

    def due_at(self) -> float | None:
        """Returns when `turn` is due next, or None for not before the next report."""
        return min(
            (life.due_at for life in self._lives.values() if life.due_at is not None and not self._waits_in_vain(life)),
            default=None,
        )

    def _waits_in_vain(self, life: Lifecycle) -> bool:
        # nothing is started during a stop; the child becomes STOPPED when its turn in the order comes
        return self._is_stopping and life.state in (State.RETRYING, State.BACKOFF)

    def _advance(self, name: str, event: Input, now: float) -> None:
        self._lives[name], effect = advance(self._lives[name], event, now)
        if effect is not Effect.NONE:
            self._orders.append(Order(effect, name))
