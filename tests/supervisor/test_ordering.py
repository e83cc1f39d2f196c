from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import InvalidInput
from wgmesh.supervisor import ordering
from wgmesh.supervisor.lifecycle import IS_OVER, State

NODE = {"wireguard": frozenset[str](), "nat": frozenset({"wireguard"}), "node": frozenset({"wireguard", "nat"})}


def test_only_what_requires_nothing_starts_first() -> None:
    assert ordering.startable(NODE, dict.fromkeys(NODE, State.WAITING)) == ("wireguard",)


def test_a_child_waits_until_what_it_requires_is_running_and_not_merely_started() -> None:
    states = {"wireguard": State.STARTING, "nat": State.WAITING, "node": State.WAITING}

    assert ordering.startable(NODE, states) == ()
    assert ordering.startable(NODE, {**states, "wireguard": State.RUNNING}) == ("nat",)


def test_what_nobody_requires_stops_first() -> None:
    assert ordering.stoppable(NODE, dict.fromkeys(NODE, State.RUNNING)) == ("node",)


def test_a_child_is_not_stopped_while_one_that_requires_it_is_still_stopping() -> None:
    states = {"wireguard": State.RUNNING, "nat": State.RUNNING, "node": State.STOPPING}

    assert ordering.stoppable(NODE, states) == ()


def test_a_requirement_that_is_not_among_the_children_is_named() -> None:
    with pytest.raises(InvalidInput, match="Child nat requires wireguard"):
        ordering.check({"nat": frozenset({"wireguard"})})


def test_a_circle_of_requirements_is_refused() -> None:
    with pytest.raises(InvalidInput, match="circle"):
        ordering.check({"a": frozenset({"b"}), "b": frozenset({"a"})})


@given(st.data())
def test_as_long_as_somebody_lives_somebody_can_stop_or_is_stopping(data: st.DataObject) -> None:
    names = [f"child{number}" for number in range(data.draw(st.integers(1, 6)))]
    requires = {
        name: frozenset(data.draw(st.sets(st.sampled_from(names[:index])) if index else st.just(set())))
        for index, name in enumerate(names)
    }
    states = {name: data.draw(st.sampled_from(State)) for name in names}
    ordering.check(requires)

    stopping = {State.STOPPING, State.HASTENING, State.KILLING}
    is_moving = any(state in stopping for state in states.values())

    if any(state not in IS_OVER for state in states.values()) and not is_moving:
        assert ordering.stoppable(requires, states)
