"""Where no node answers, a command tells a start, a replacement and an end apart: by text, JSON and exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from support.command_line import Run
from support.doubles.fake_node import FakeNode, served
from support.doubles.fake_supervisor import own_interface, telling
from wgmesh.cli import exits
from wgmesh.core.errors import NotReady
from wgmesh.runtime.node_report import RESTARTING, RUNNING, SILENT, STARTING, STOPPING, NodeReport, ServiceReport
from wgmesh.v1 import node_service_pb2 as node_pb2

COMMANDS = (
    ["status"],
    ["peers", "list"],
    ["peers", "bans"],
    ["plan"],
    ["reload"],
    ["down"],
    ["ping", "alice", "--count", "1"],
    ["netcheck"],
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def report(run: Path, *services: ServiceReport, problem: str = "") -> NodeReport:
    interface = own_interface()
    return NodeReport(interface, 7, str(run / interface), str(run / interface / "node.sock"), problem, services)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_node_that_starts_is_not_called_absent(wgmesh: Run, run: Path, command: list[str]) -> None:
    starting = report(run, ServiceReport("wireguard", STARTING, 3.2, 2), ServiceReport("node", STARTING, 3.2))

    with telling(starting):
        outcome = wgmesh(*command, "--json", "--interface", starting.interface)

    assert outcome.code == exits.STARTING == outcome.json["error"]["exit_code"]
    assert outcome.json["error"]["kind"] == "NodeStarting"
    assert "wireguard: starting for 3 s, attempt 2" in outcome.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_node_process_that_is_being_replaced_is_named_with_time_and_attempt(
    wgmesh: Run, run: Path, command: list[str]
) -> None:
    restarting = report(run, ServiceReport("nat", RUNNING, 99.0), ServiceReport("node", RESTARTING, 4.4, 3))

    with telling(restarting):
        outcome = wgmesh(*command, "--json", "--interface", restarting.interface)

    assert outcome.code == exits.RESTARTING == outcome.json["error"]["exit_code"]
    assert outcome.json["error"]["kind"] == "NodeRestarting"
    assert "(node: restarting for 4 s, attempt 3)" in outcome.err
    assert "nat" not in outcome.err


def test_a_node_process_that_hangs_is_said_to_hang_and_no_word_of_grpc_is_shown(wgmesh: Run, run: Path) -> None:
    """Its socket is there, and all who connect wait."""
    hanging = report(run, ServiceReport("node", SILENT, 3.1))
    fake = FakeNode(error=NotReady("Deadline Exceeded"))

    with served(fake, Path(hanging.control)), telling(hanging):
        outcome = wgmesh("peers", "list", "--interface", hanging.interface)

    assert outcome.code == exits.RESTARTING
    assert "does not answer" in outcome.err
    assert "node: not answering for 3 s" in outcome.err
    assert "Deadline" not in outcome.err


def test_without_the_name_of_the_interface_the_node_of_the_directory_is_found(wgmesh: Run, run: Path) -> None:
    restarting = report(run, ServiceReport("node", RESTARTING, 1.0, 1))
    elsewhere = report(run.parent / "other", ServiceReport("node", STARTING, 1.0))

    with telling(elsewhere), telling(restarting):
        outcome = wgmesh("status")

    assert outcome.code == exits.RESTARTING
    assert restarting.interface in outcome.err


def test_by_its_control_socket_the_node_that_would_serve_it_is_found(wgmesh: Run, run: Path) -> None:
    restarting = report(run, ServiceReport("node", RESTARTING, 1.0, 1))

    with telling(restarting):
        outcome = wgmesh("status", "--socket-path", restarting.control)
        other = wgmesh("status", "--socket-path", str(run / "other.sock"))

    assert (outcome.code, other.code) == (exits.RESTARTING, exits.NOT_RUNNING)


def test_a_node_in_another_directory_is_not_taken_for_the_one_that_is_meant(wgmesh: Run, run: Path) -> None:
    elsewhere = report(run.parent / "other", ServiceReport("node", STARTING, 1.0))

    with telling(elsewhere):
        assert wgmesh("status").code == exits.NOT_RUNNING
        assert wgmesh("status", "--interface", elsewhere.interface).code == exits.NOT_RUNNING


def test_a_control_socket_that_is_gone_is_said_to_be_and_with_what_stands_in_its_way(wgmesh: Run, run: Path) -> None:
    gone = report(run, ServiceReport("node", RUNNING, 99.0))
    blocked = report(run, ServiceReport("node", RUNNING, 99.0), problem="a file stands there")

    with telling(gone):
        first = wgmesh("status", "--interface", gone.interface)
    with telling(blocked):
        second = wgmesh("status", "--interface", blocked.interface)

    assert (first.code, second.code) == (exits.RESTARTING, exits.RESTARTING)
    assert "is made again" in first.err
    assert "cannot be made again: a file stands there" in second.err


def test_a_node_that_stops_is_not_running(wgmesh: Run, run: Path) -> None:
    stopping = report(run, ServiceReport("node", STOPPING, 1.0))

    with telling(stopping):
        outcome = wgmesh("status", "--interface", stopping.interface)

    assert outcome.code == exits.NOT_RUNNING
    assert "is stopping" in outcome.err


def test_what_a_running_node_says_itself_is_left_as_it_is(wgmesh: Run, run: Path) -> None:
    running = report(run, ServiceReport("node", RUNNING, 99.0))
    fake = FakeNode(error=NotReady("There is nothing to plan with."))

    with served(fake, Path(running.control)), telling(running):
        outcome = wgmesh("plan", "--interface", running.interface)

    assert (outcome.code, outcome.err) == (exits.FAILED, "wgmesh: There is nothing to plan with.\n")


def test_a_node_process_that_was_replaced_while_it_was_asked_is_told(wgmesh: Run, run: Path) -> None:
    replaced = report(run, ServiceReport("node", RUNNING, 2.0, 1))
    fake = FakeNode(error=NotReady("Deadline Exceeded"))

    with served(fake, Path(replaced.control)), telling(replaced):
        outcome = wgmesh("status", "--interface", replaced.interface)

    assert outcome.code == exits.RESTARTING
    assert "was replaced 2 s ago" in outcome.err


def test_a_node_that_became_ready_after_the_look_for_its_socket_was_starting(wgmesh: Run, run: Path) -> None:
    ready = report(run, ServiceReport("node", RUNNING, 0.2))

    with telling(ready):
        assert wgmesh("status", "--interface", ready.interface).code == exits.STARTING


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("silent", exits.RESTARTING, "nat: not answering for 3 s"),
        ("restarting", exits.RESTARTING, "nat: restarting for 3 s, attempt 2"),
        ("starting", exits.STARTING, "nat: starting for 3 s, attempt 2"),
    ],
)
def test_status_names_a_process_that_does_not_run_and_ends_with_its_code(
    wgmesh: Run, run: Path, state: str, code: int, words: str
) -> None:
    health = node_pb2.ServiceHealth(name="nat", state=state, state_age=Duration(seconds=3), attempt=2)
    fake = FakeNode(services=(node_pb2.ServiceHealth(name="node", state="running", connected=True), health))

    with served(fake, run / "wg7" / "node.sock"):
        text, value = wgmesh("status"), wgmesh("status", "--json")

    assert text.code == value.code == code
    assert f"Services not answering:\n  {words}\n" in text.out
    assert value.json["services"][1] == {
        "name": "nat", "connected": False, "state": state, "since_seconds": 3.0, "attempt": 2
    }  # fmt: skip


def test_status_of_a_node_of_which_all_processes_run_ends_with_0(wgmesh: Run, run: Path) -> None:
    healths = [node_pb2.ServiceHealth(name=name, state="running", connected=True) for name in ("nat", "node")]

    with served(FakeNode(services=healths), run / "wg7" / "node.sock"):
        outcome = wgmesh("status")

    assert outcome.code == exits.OK
    assert "Services not answering" not in outcome.out
