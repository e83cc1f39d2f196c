"""`wgmesh demo` as a newcomer runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.demo.fabric import NETNS_DIR, PREFIX
from wgmesh.demo.nodes import program
from wgmesh.demo.waiting import wait_for

COMPLETE = "All 2 nodes ping each other"


class Demo:
    """A demo with a terminal's process group: a signal comes to all of its programs, as Ctrl-C does."""

    def __init__(self, output: Path, nodes: int = 2) -> None:
        self._output = output
        with output.open("w") as sink:
            self.process = subprocess.Popen(
                [program(), "demo", "--nodes", str(nodes)],
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self._output.read_text()

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(self.process.pid, number)

    def wait_until_it_notes_signals(self) -> None:
        wait_for(lambda: catches(self.process.pid, signal.SIGHUP), PATIENCE_S, "the demo catches its last signal")

    def send_until_it_ends(self, number: signal.Signals, pause_s: float) -> None:
        deadline = time.monotonic() + END_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self.send(number)
            self.stays_for(pause_s)

    def stays_for(self, seconds: float) -> None:
        """Lets it go on, unless it ends."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)


@pytest.fixture
def running_demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path / "output.txt")
    yield demo
    demo.process.kill()  # one that has not heard its signal; what it left is swept by the next fabric
    demo.process.wait()


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for the signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def left_by(pid: int) -> list[Path]:
    """What a program left on the machine: namespaces, directories, and processes that see one of its directories."""
    tag = f"{PREFIX}-{pid}-"
    paths = [path for place in (NETNS_DIR, Path(tempfile.gettempdir())) for path in place.glob(f"{tag}*")]
    return paths + [path.parent for path in Path("/proc").glob("[0-9]*/mountinfo") if sees(path, tag)]


def sees(mountinfo: Path, tag: str) -> bool:
    """Whether a process has mounted a directory of that name (proc_pid_mountinfo(5): the fourth field)."""
    try:
        lines = mountinfo.read_text().splitlines()
    except OSError:  # it has ended
        return False
    return any(tag in line.split()[3] for line in lines)


def test_three_nodes_are_shown_until_all_ping_all() -> None:
    done = subprocess.run([program(), "demo", "--nodes", "3", "--once"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "All 3 nodes ping each other over the mesh" in done.stdout
    assert done.stdout.count("2/2") >= 3


def test_the_result_can_be_read_by_a_program() -> None:
    done = subprocess.run(
        [program(), "demo", "--nodes", "2", "--once", "--json"], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert result["complete"] is True
    assert result["simulated"] is False
    assert len({node["mesh_ipv4"] for node in result["nodes"]}) == 2
    assert result["timings_s"]["all_ping_all"] > 0


# Seconds from the moment in which the demo notes signals. Where they fall depends on the machine: while namespaces are
# made, nodes start, the mesh forms, the table stays.
MOMENTS = (
    *((signal.SIGTERM, moment) for moment in (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)),
    *((number, moment) for number in (signal.SIGINT, signal.SIGHUP) for moment in (0.0, 0.3, 2.5)),
)
END_S = PATIENCE_S  # it stops its nodes within 12 s


@pytest.mark.parametrize(("number", "moment"), MOMENTS)
def test_a_signal_at_any_moment_ends_it_in_order_and_leaves_nothing(
    running_demo: Demo, number: signal.Signals, moment: float
) -> None:
    running_demo.wait_until_it_notes_signals()
    running_demo.stays_for(moment)
    running_demo.send(number)

    code = running_demo.process.wait(END_S)

    assert left_by(running_demo.process.pid) == []
    is_done = COMPLETE in running_demo.output() and number is not signal.SIGINT
    assert code == (exits.OK if is_done else exits.INTERRUPTED)


def test_a_signal_before_the_mesh_is_complete_ends_it_without_waiting_for_the_mesh(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "output.txt", nodes=6)  # they need seconds
    wait_for(lambda: "starting" in demo.output(), PATIENCE_S, "the first table is shown")
    demo.send(signal.SIGTERM)

    code = demo.process.wait(END_S)

    assert left_by(demo.process.pid) == []
    assert code == exits.INTERRUPTED
    assert "ping each other" not in demo.output()


@pytest.mark.parametrize("is_complete", [False, True])
@pytest.mark.parametrize(("number", "pause_s"), [(signal.SIGTERM, 0.002), (signal.SIGINT, 0.05), (signal.SIGHUP, 0.3)])
def test_signals_without_end_do_not_keep_it_from_cleaning_up(
    running_demo: Demo, number: signal.Signals, pause_s: float, is_complete: bool
) -> None:
    if is_complete:
        wait_for(lambda: COMPLETE in running_demo.output(), PATIENCE_S, "the demo is complete")
    running_demo.wait_until_it_notes_signals()
    running_demo.send_until_it_ends(number, pause_s)

    assert left_by(running_demo.process.pid) == []
    # once all is removed, signals end the program as they end any other
    assert running_demo.process.poll() in (exits.OK, exits.INTERRUPTED, -number)


def test_a_signal_before_it_notes_signals_finds_nothing_to_remove(running_demo: Demo) -> None:
    running_demo.send(signal.SIGTERM)

    code = running_demo.process.wait(END_S)

    assert left_by(running_demo.process.pid) == []
    assert code in (-signal.SIGTERM, exits.INTERRUPTED)
