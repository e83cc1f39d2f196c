from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from wgmesh.core.errors import InvalidInput
from wgmesh.supervisor.lifecycle import (
    HASTEN_WITHIN_S,
    KILL_WITHIN_S,
    READY_WITHIN_S,
    RESTART_DELAYS_S,
    STOP_WITHIN_S,
    Effect,
    Input,
    State,
)
from wgmesh.supervisor.supervision import Supervision

REQUIRES = {
    "metrics": frozenset[str](),
    "wireguard": frozenset[str](),
    "nat": frozenset({"wireguard"}),
    "node": frozenset({"wireguard", "nat"}),
}
NAMES = tuple(REQUIRES)


def test_children_start_as_their_requirements_become_ready() -> None:
    world = World()

    world.turn()
    assert world.alive == {"metrics", "wireguard"}

    world.ready("wireguard")
    assert world.alive == {"metrics", "wireguard", "nat"}

    world.ready("nat")
    assert world.alive == set(NAMES)


def test_an_ordered_stop_ends_a_child_before_what_it_requires() -> None:
    world = running_world()

    world.supervision.stop()
    world.turn()
    terminated = []
    while world.terminating:
        for name in sorted(world.terminating):
            terminated.append(name)
            world.exit(name)

    assert world.supervision.is_over
    assert terminated.index("node") < terminated.index("nat") < terminated.index("wireguard")


@pytest.mark.parametrize("event", [Input.EXITED, Input.GAVE_UP])
def test_a_child_that_ends_after_it_was_ready_is_back_without_touching_the_others(event: Input) -> None:
    world = running_world()

    for _ in range(2):  # also one that ends again before it is ready
        world.exit("wireguard", event)
        assert world.supervision.states["wireguard"] is State.BACKOFF
        world.wait()
    world.ready("wireguard")

    assert world.supervision.states == dict.fromkeys(NAMES, State.RUNNING)
    assert world.alive == set(NAMES)
    assert world.terminating == world.killed == set()


def test_a_child_that_crashes_before_it_was_ever_ready_is_tried_again() -> None:
    world = World()
    world.turn()

    world.exit("metrics")
    assert "metrics" not in world.alive
    world.wait()

    assert "metrics" in world.alive


def test_a_child_that_hangs_in_its_restart_is_killed_and_restarted_once_more() -> None:
    world = running_world()
    world.exit("node")
    world.wait()

    assert world.supervision.due_at() == world.now + READY_WITHIN_S
    world.wait()
    assert world.killed == {"node"}
    world.exit("node")
    world.wait()

    assert "node" in world.alive
    assert world.killed == set()


def test_a_child_that_does_not_answer_is_killed_alone_and_is_back() -> None:
    world = running_world()

    world.mute("wireguard")
    assert world.killed == {"wireguard"}
    assert world.terminating == set()
    world.exit("wireguard")
    world.wait()
    world.ready("wireguard")

    assert world.supervision.states == dict.fromkeys(NAMES, State.RUNNING)


def test_a_child_that_gives_up_at_first_start_stops_the_others() -> None:
    world = World()
    world.turn()

    world.exit("wireguard", Input.GAVE_UP)

    assert world.supervision.states["wireguard"] is State.FAILED
    assert world.terminating == {"metrics"}
    assert world.supervision.states["node"] is State.STOPPED


def test_a_stop_during_a_restart_delay_starts_nothing_more() -> None:
    world = running_world()
    world.exit("node")

    world.supervision.stop()
    world.turn()
    world.wait()

    assert "node" not in world.alive


def test_a_stop_in_the_moment_of_another_try_starts_nothing() -> None:
    world = World()
    world.turn()
    world.exit("metrics")
    world.now = 1.0

    world.supervision.stop()
    world.turn()

    assert world.supervision.states["metrics"] is State.STOPPED
    assert "metrics" not in world.alive


def test_during_a_stop_a_child_that_others_still_need_is_not_restarted_for_them() -> None:
    world = running_world()
    world.exit("wireguard")

    world.supervision.stop()
    world.turn()
    assert world.supervision.due_at() == world.now + STOP_WITHIN_S  # of node, which goes first
    world.now += STOP_WITHIN_S / 2
    world.turn()

    assert "wireguard" not in world.alive
    assert world.terminating == {"node", "metrics"}


def test_the_next_turn_is_due_when_the_first_child_needs_it() -> None:
    world = World()
    world.turn()
    assert world.supervision.due_at() == READY_WITHIN_S

    world.now = 5.0
    world.exit("metrics")

    assert world.supervision.due_at() == 5.0 + RESTART_DELAYS_S[0]


def test_children_that_require_each_other_are_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="circle"):
        Supervision({"one": frozenset({"other"}), "other": frozenset({"one"})})


def test_hastening_asks_everybody_at_once_and_kills_when_asked_again() -> None:
    world = running_world()

    world.supervision.hasten(world.now)
    world.turn()
    assert world.terminating == set(NAMES)
    assert world.supervision.is_stopping

    world.supervision.hasten(world.now)
    world.turn()
    assert world.killed == set(NAMES)
    assert world.supervision.due_at() == world.now + KILL_WITHIN_S


def test_haste_has_little_patience() -> None:
    world = running_world()

    world.supervision.hasten(world.now)
    world.turn()
    assert world.supervision.due_at() == HASTEN_WITHIN_S
    world.wait()

    assert world.killed == set(NAMES)


def test_haste_during_a_stop_asks_again_and_waits_no_longer_than_haste_does() -> None:
    world = running_world()
    world.supervision.stop()
    world.turn()
    assert world.terminating == {"node", "metrics"}
    world.terminating.clear()

    world.supervision.hasten(world.now)
    world.turn()

    assert world.terminating == set(NAMES)
    assert world.supervision.due_at() == HASTEN_WITHIN_S


def test_a_stop_waits_until_the_children_end_or_are_killed() -> None:
    world = running_world()

    world.supervision.stop()
    world.turn()
    world.now = STOP_WITHIN_S - 1
    world.turn()
    assert world.killed == set()
    world.wait()

    assert world.killed == {"node", "metrics"}


class World:
    """Processes as the shell would have them, in virtual time."""

    def __init__(self) -> None:
        self.supervision = Supervision(REQUIRES)
        self.now = 0.0
        self.alive: set[str] = set()
        self.terminating: set[str] = set()
        self.killed: set[str] = set()

    @property
    def running(self) -> set[str]:
        return {name for name, state in self.supervision.states.items() if state is State.RUNNING}

    def turn(self) -> None:
        for order in self.supervision.turn(self.now):
            match order.effect:
                case Effect.FORK:
                    assert order.name not in self.alive
                    self.alive.add(order.name)
                case Effect.TERMINATE:
                    assert order.name in self.alive
                    self.terminating.add(order.name)
                case Effect.KILL:
                    assert order.name in self.alive
                    self.killed.add(order.name)
                case Effect.NONE:
                    raise AssertionError("an order to do nothing")

    def ready(self, name: str) -> None:
        self.supervision.report(name, Input.READY, self.now)
        self.turn()

    def mute(self, name: str) -> None:
        self.supervision.report(name, Input.MUTE, self.now)
        self.turn()

    def exit(self, name: str, event: Input = Input.EXITED) -> None:
        for names in (self.alive, self.terminating, self.killed):
            names.discard(name)
        self.supervision.report(name, event, self.now)
        self.turn()

    def wait(self) -> None:
        due_at = self.supervision.due_at()
        if due_at is not None:
            self.now = due_at
        self.turn()


def running_world() -> World:
    world = World()
    world.turn()
    for name in ("metrics", "wireguard", "nat", "node"):
        world.ready(name)
    assert world.supervision.states == dict.fromkeys(NAMES, State.RUNNING)
    assert world.terminating == world.killed == set()
    return world


class AnyLife(RuleBasedStateMachine):
    """Whatever happens in whatever order: no order contradicts the processes, and a stop always comes to an end."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.turn()
        self.report_count = 0

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data(), event=st.sampled_from((Input.EXITED, Input.GAVE_UP)))
    def a_process_ends(self, data: st.DataObject, event: Input) -> None:
        self.report_count += 1
        self.world.exit(data.draw(st.sampled_from(sorted(self.world.alive))), event)

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data())
    def a_process_is_ready(self, data: st.DataObject) -> None:
        self.report_count += 1
        self.world.ready(data.draw(st.sampled_from(sorted(self.world.alive))))

    @precondition(lambda self: self.world.running)
    @rule(data=st.data())
    def a_process_does_not_answer(self, data: st.DataObject) -> None:
        self.report_count += 1
        self.world.mute(data.draw(st.sampled_from(sorted(self.world.running))))

    @rule()
    def time_passes(self) -> None:
        self.world.wait()

    # A stop ends everything, so before it there is time for children to come up, fail and be restarted.
    @precondition(lambda self: self.report_count > 8)
    @rule()
    def a_stop_is_asked_for(self) -> None:
        self.world.supervision.stop()
        self.world.turn()

    @precondition(lambda self: self.report_count > 8)
    @rule()
    def haste_is_asked_for(self) -> None:
        self.world.supervision.hasten(self.world.now)
        self.world.turn()

    @invariant()
    def nothing_is_due_in_the_past_after_a_turn(self) -> None:
        due_at = self.world.supervision.due_at()
        assert due_at is None or due_at > self.world.now

    def teardown(self) -> None:
        self.world.supervision.stop()
        self.world.turn()
        for _ in range(4 * len(NAMES)):  # nobody obeys: each takes three deadlines at most
            self.world.wait()
        assert self.world.supervision.is_over


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
