"""`wgmesh down` against a node service on a real socket, and a process that is its supervisor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command_line import Run
from support.doubles.fake_node import FakeNode, served
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.core.errors import PermissionDenied

SUPERVISOR = """
import sys
from pathlib import Path

Path("/proc/self/comm").write_text(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    fake = FakeNode()
    with served(fake, tmp_path / "run" / "wg7" / "node.sock"):
        yield fake


@contextmanager
def supervisor(name: str = "wgmesh") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def ended(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    return process.pid


def test_it_waits_for_the_end_of_the_last_process(wgmesh: Run, node: FakeNode) -> None:
    with supervisor() as process:
        node.stopping = lambda: ended(process)

        outcome = wgmesh("down")

        assert process.wait(0.0) == 0  # it was no more when the command had ended
    assert (outcome.code, outcome.out, outcome.err) == (exits.OK, "Stopped\n", "")


def test_a_node_that_is_still_there_ends_it_with_1_and_its_pid(wgmesh: Run, node: FakeNode) -> None:
    with supervisor() as process:
        node.stopping = lambda: process.pid

        outcome = wgmesh("down", "--wait", "0.2", "--json")

    assert outcome.code == exits.FAILED
    assert outcome.json["error"]["exit_code"] == exits.FAILED
    assert f"is not gone after 0.2 s (pid {process.pid})" in outcome.err


def test_without_waiting_it_says_that_it_has_asked(wgmesh: Run, node: FakeNode, tmp_path: Path) -> None:
    with supervisor() as process:
        node.stopping = lambda: process.pid

        text, value = wgmesh("down", "--wait", "0"), wgmesh("down", "--wait", "0", "--json")

    assert (text.code, text.out) == (exits.OK, "Asked to stop\n")
    assert value.json == {"socket": str(tmp_path / "run/wg7/node.sock"), "pid": process.pid, "stopped": False}


def test_a_pid_that_means_another_process_here_is_not_waited_for(wgmesh: Run, node: FakeNode, tmp_path: Path) -> None:
    """So it is with a node in a container: what shows its end is its socket."""
    with supervisor("init") as process:

        def stop() -> int:
            (tmp_path / "run" / "wg7" / "node.sock").unlink()
            return process.pid

        node.stopping = stop

        outcome = wgmesh("down")

    assert (outcome.code, outcome.out) == (exits.OK, "Stopped\n")


def test_who_may_not_use_the_socket_may_not_stop_the_node(wgmesh: Run, node: FakeNode) -> None:
    node.error = PermissionDenied("no")

    assert wgmesh("down").code == exits.PERMISSION


def test_without_a_node_it_ends_with_3(wgmesh: Run) -> None:
    assert wgmesh("down").code == exits.NOT_RUNNING
