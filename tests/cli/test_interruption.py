from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import GOOD_SECRET
from support.doubles.fake_node import FakeNode, served
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.cli.interruption import ended_by_ctrl_c

INTERRUPTED_WHEN_DROPPED = """
import signal, sys

class InterruptedWhenDropped:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
"""

WATCH = """
from wgmesh.cli.interruption import ended_by_ctrl_c

with ended_by_ctrl_c(7):
    print("a picture", flush=True)
    InterruptedWhenDropped()
    print("goes on", flush=True)
"""

PROGRAM = """
from wgmesh.cli.app import main

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            InterruptedWhenDropped()

sys.meta_path.insert(0, Finder())
sys.exit(main(sys.argv[2:]))
"""


def test_ctrl_c_is_heard_also_where_python_would_swallow_an_exception() -> None:
    done = run(WATCH)

    assert (done.returncode, done.stdout, done.stderr) == (7, "a picture\n", "")


@pytest.mark.parametrize("words", [("peers", "list"), ("status",)])
def test_ctrl_c_while_a_watch_still_loads_its_modules_ends_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    with served(FakeNode(), tmp_path / "wg7" / "node.sock"):
        done = run(PROGRAM, "wgmesh.client.node", *words, "--watch", "--runtime-dir", str(tmp_path))

    assert (done.returncode, done.stdout, done.stderr) == (exits.INTERRUPTED, "", "")


@pytest.mark.root  # an ordinary user's join ends before it loads the supervisor
def test_ctrl_c_while_join_still_loads_its_modules_ends_it(tmp_path: Path) -> None:
    (tmp_path / "state").touch()  # no directory: should it go on, it ends before anything is started

    directories = ("--runtime-dir", str(tmp_path / "run"), "--state-dir", str(tmp_path / "state"))
    done = run(PROGRAM, "wgmesh.supervisor.assembly", "join", *directories)

    assert (done.returncode, done.stdout, done.stderr) == (exits.INTERRUPTED, "", "")


def test_after_a_watch_ctrl_c_is_what_it_was() -> None:
    with ended_by_ctrl_c(exits.OK):
        pass

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHEN_DROPPED + script, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env={**os.environ, "WGMESH_SECRET": GOOD_SECRET},
    )
