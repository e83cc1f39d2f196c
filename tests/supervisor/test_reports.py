"""What the supervisor tells is what its children are, in words that do not depend on its states."""

from __future__ import annotations

from pathlib import Path

from wgmesh.runtime.node_report import ServiceReport
from wgmesh.supervisor.heartbeats import Heartbeats
from wgmesh.supervisor.lifecycle import Input
from wgmesh.supervisor.reports import node_report
from wgmesh.supervisor.settings import SupervisorSettings
from wgmesh.supervisor.supervision import Supervision

SETTINGS = SupervisorSettings("wg0", Path("/run/wgmesh"), Path("/var/lib/wgmesh"))
REQUIRES = {"nat": frozenset[str](), "node": frozenset({"nat"})}


class World:
    """A supervision and its heartbeats."""

    def __init__(self) -> None:
        self.supervision = Supervision(REQUIRES)
        self.heartbeats = Heartbeats(0.0)

    def report(self, name: str, event: Input, now: float) -> None:
        self.supervision.report(name, event, now)
        self.supervision.turn(now)

    def told(self, now: float) -> tuple[ServiceReport, ...]:
        return node_report(SETTINGS, 7, self.supervision, self.heartbeats, "", now).services


def test_a_node_starts_until_each_child_was_ready_once_and_says_for_how_long() -> None:
    world = World()
    world.supervision.turn(0.0)
    assert world.told(2.0) == (ServiceReport("nat", "starting", 2.0), ServiceReport("node", "starting", 0.0))

    world.report("nat", Input.EXITED, 3.0)
    assert world.told(4.0)[0] == ServiceReport("nat", "starting", 4.0, attempt=1)
    world.supervision.turn(10.0)
    world.report("nat", Input.READY, 10.0)

    assert world.told(11.0) == (ServiceReport("nat", "running", 1.0, attempt=1), ServiceReport("node", "starting", 1.0))


def test_a_child_that_is_silent_is_said_to_be_until_it_is_replaced() -> None:
    world = World()
    world.supervision.turn(0.0)
    world.report("nat", Input.READY, 0.0)
    world.heartbeats.watch("nat")
    for now in (1.0, 2.0, 3.0):
        world.heartbeats.look((), now)

    assert world.told(3.5)[0] == ServiceReport("nat", "silent", 3.0)
    world.report("nat", Input.MUTE, 5.0)
    assert world.told(6.0)[0] == ServiceReport("nat", "restarting", 1.0)
    world.report("nat", Input.EXITED, 6.0)
    assert world.told(6.0)[0] == ServiceReport("nat", "restarting", 1.0, attempt=1)


def test_a_node_that_is_told_to_stop_says_so() -> None:
    world = World()
    world.supervision.turn(0.0)
    world.supervision.stop()
    world.supervision.turn(1.0)

    assert {service.state for service in world.told(1.0)} == {"stopping"}
