"""`wgmesh demo` as a newcomer runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

from wgmesh.demo.fabric import NETNS_DIR, PREFIX
from wgmesh.demo.nodes import program
from wgmesh.demo.waiting import wait_for


def left_by(pid: int) -> list[Path]:
    """What a program left on the machine."""
    return [path for place in (NETNS_DIR, Path(tempfile.gettempdir())) for path in place.glob(f"{PREFIX}-{pid}-*")]


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


def test_ctrl_c_and_sigterm_leave_nothing(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        output = tmp_path / f"{number.name}.txt"
        with output.open("w") as sink:
            demo = subprocess.Popen([program(), "demo", "--nodes", "2"], stdout=sink, stderr=subprocess.STDOUT)
        wait_for(lambda output=output: "Ctrl-C ends it" in output.read_text(), 30.0, "the demo is complete")  # type: ignore[misc]
        assert left_by(demo.pid)
        os.kill(demo.pid, number)
        demo.wait(20.0)
        assert left_by(demo.pid) == []
