"""The run directory may go while a node runs: the node keeps its interface, and makes the directory again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.asking import asked, beside
from support.host_places import HostPlaces
from support.supervised import SERVICES, Supervised, is_alive
from support.waiting import PATIENCE_S
from wgmesh.demo.waiting import wait_for
from wgmesh.runtime.callers import CALLERS, socket_path

STRANGER = 65_000
SQUATTER = """
import os, socket, sys
if int(sys.argv[1]):
    os.setgroups([])
    os.setresuid(*3 * [int(sys.argv[1])])
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0wgmesh/toy0")
if sys.argv[2] == "listens":
    listener.listen(1)
print("bound", flush=True)
sys.stdin.read()
"""


def sockets(base: Path) -> list[Path]:
    directory = base / "run/toy0"
    return [socket_path(directory, service, caller) for service, callers in CALLERS.items() for caller in callers]


def all_answer(base: Path) -> bool:
    """Whether somebody listens at each socket, and at the control path."""
    for path in (*sockets(base), base / "run/toy0/node.sock"):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                return False
    return True


DAMAGES: dict[str, Callable[[Path], None]] = {
    "all": lambda base: shutil.rmtree(base / "run"),
    "the interface's": lambda base: shutil.rmtree(base / "run/toy0"),
    "one service's": lambda base: shutil.rmtree(base / "run/toy0/nat"),
    "one socket": lambda base: socket_path(base / "run/toy0", "discovery", "node").unlink(),
    "the control link": lambda base: (base / "run/toy0/node.sock").unlink(),
    "the lock": lambda base: (base / "run/toy0/lock").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_deleted_of_the_run_directory_is_there_again_and_answers(base: Path, damage: str) -> None:
    with Supervised(base) as node:
        node.wait_until_ready()
        modes = {path: path.parent.stat().st_mode for path in sockets(base)}
        DAMAGES[damage](base)

        node.wait_for("run directory made again")
        wait_for(lambda: all_answer(base), PATIENCE_S, "all sockets answer")

        assert {path: path.parent.stat().st_mode for path in sockets(base)} == modes
        assert (base / "run/toy0/lock").read_text() == f"{node.pid}\n"
        assert node.process.poll() is None
    assert len(node.events("run directory made again")) == 1
    assert {line["reason"] for line in node.events("child killed")} <= {"its socket is gone"}


def test_a_service_that_keeps_its_socket_is_not_touched(base: Path) -> None:
    with Supervised(base) as node:
        pids = node.wait_until_ready()
        shutil.rmtree(base / "run/toy0/nat")
        node.wait_for("child ready", child="nat")

        assert all(is_alive(pid) for name, pid in pids.items() if name != "nat")


def test_what_stands_in_the_way_is_told_and_harms_no_service_until_it_is_gone(base: Path) -> None:
    with Supervised(base) as node:
        pids = node.wait_until_ready()
        shutil.rmtree(base / "run/toy0")
        (base / "run/toy0").write_text("precious")
        refused = node.wait_for("run directory not made")
        report = asked(node.pid)

        assert report is not None
        assert report.problem == refused["reason"]
        assert str(base / "run/toy0") in report.problem
        assert all(is_alive(pid) for pid in pids.values())
        assert (base / "run/toy0").read_text() == "precious"

        (base / "run/toy0").unlink()
        node.wait_for("run directory made again")
        wait_for(lambda: all_answer(base), PATIENCE_S, "all sockets answer")
    assert len(node.events("run directory not made")) == 1


@contextmanager
def second_start(node: Supervised, base: Path) -> Iterator[Supervised]:
    """Another supervisor on the same interface, in the network namespace of the first."""
    (base / "host-run-2").mkdir(exist_ok=True)
    places = HostPlaces(base / "host-run-2", beside=tuple(beside(node.pid)))
    with Supervised(base, places=places) as second:
        yield second


def test_without_its_run_directory_a_node_keeps_its_interface(base: Path) -> None:
    """Stopped, so that it cannot make the directory again: the lock is not in it."""
    with Supervised(base) as node:
        pids = node.wait_until_ready()
        os.kill(node.pid, signal.SIGSTOP)
        shutil.rmtree(base / "run")
        try:
            with second_start(node, base) as second:
                assert second.exit_code() == 1
            assert f"wgmesh already runs on toy0 (pid {node.pid})" in "".join(second.text)
            assert not (base / "run").exists()  # it touched nothing
        finally:
            os.kill(node.pid, signal.SIGCONT)
        assert all(is_alive(pid) for pid in pids.values())


def test_the_name_is_free_as_soon_as_a_supervisor_was_killed(base: Path) -> None:
    with Supervised(base) as node:
        node.wait_until_ready()
        keep = [*beside(node.pid), "sh", "-c", "echo inside; exec sleep 600"]
        holder = subprocess.Popen(keep, stdout=subprocess.PIPE)  # keeps the namespace
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"inside\n"
            node.process.kill()
            node.exit_code()
            places = HostPlaces(base / "host-run", beside=tuple(beside(holder.pid)))
            with Supervised(base, places=places) as again:
                assert set(again.wait_until_ready()) == SERVICES
        finally:
            holder.kill()
            holder.communicate()


@pytest.mark.root
@pytest.mark.parametrize("habit", ["listens", "is silent"])
def test_a_name_that_another_user_has_taken_holds_up_nobody_and_is_not_believed(base: Path, habit: str) -> None:
    holder = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", SQUATTER, str(STRANGER), habit],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"bound\n"
        (base / "host-run").mkdir()
        places = HostPlaces(base / "host-run", beside=tuple(beside(holder.pid)))
        with Supervised(base, places=places) as node:
            taken = node.wait_for("interface name not held")
            assert set(node.wait_until_ready()) == SERVICES
            assert asked(holder.pid) is None
            # without a name that is ours, the lock in the run directory still refuses a second start
            with Supervised(base, places=places) as second:
                assert second.exit_code() == 1
        assert taken.get("user", STRANGER) == STRANGER
    finally:
        holder.kill()
        holder.wait()
