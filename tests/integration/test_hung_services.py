"""A service that lives and does not answer is not running: it is shown, killed and replaced, whatever keeps it.

The kind: its process is there and its sockets are connected, so nothing but its own silence gives it away.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.asking import asked, beside, state_of
from support.supervised import SERVICES, Supervised, import_roots, is_alive
from support.waiting import PATIENCE_S
from wgmesh.demo.waiting import wait_for

ASKING_WITHOUT_END = """
from wgmesh.runtime.supervisor_socket import ask
print("asking", flush=True)
while True:
    ask("toy0")
"""


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGSTOP, id="stopped"),
        pytest.param(signal.SIGUSR1, id="blocked"),
        pytest.param(signal.SIGUSR2, id="busy"),
    ],
)
def test_a_service_that_hangs_is_said_to_be_killed_and_replaced_and_the_others_never_notice(
    base: Path, how: signal.Signals
) -> None:
    with Supervised(base) as node:
        pids = node.wait_until_ready()
        assert state_of(node.pid, "discovery") == "running"
        os.kill(pids["discovery"], how)

        wait_for(lambda: state_of(node.pid, "discovery") == "silent", PATIENCE_S, "the silence is told")
        killed = node.wait_for("child killed", child="discovery")
        ready = node.wait_for("child ready", child="discovery")

        assert killed["reason"] == "its event loop does not run"
        assert ready["pid"] != pids["discovery"]
        assert not is_alive(pids["discovery"])
        wait_for(lambda: state_of(node.pid, "discovery") == "running", PATIENCE_S, "it runs again")
        assert all(is_alive(pid) for name, pid in pids.items() if name != "discovery")
    assert {line["child"] for line in node.events("child killed")} == {"discovery"}


def test_a_supervisor_that_was_stopped_blames_no_service_for_that_time(base: Path) -> None:
    """As a laptop that sleeps, or a container that is frozen: all of them, then all of them go on."""
    with Supervised(base) as node:
        pids = node.wait_until_ready()
        everybody = [*pids.values(), node.pid]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        subprocess.run(["sleep", "7"], check=True)  # longer than any silence that is borne
        for pid in reversed(everybody):  # the supervisor first, and looks before the others have said anything
            os.kill(pid, signal.SIGCONT)
        os.kill(pids["nat"], signal.SIGSTOP)
        node.wait_for("child killed", child="nat")  # by then each of the others would have been killed

        assert all(is_alive(pid) for name, pid in pids.items() if name != "nat")


def test_a_hung_service_is_stopped_with_the_node(base: Path) -> None:
    with Supervised(base) as node:
        pids = node.wait_until_ready()
        os.kill(pids["nat"], signal.SIGSTOP)
        wait_for(lambda: state_of(node.pid, "nat") == "silent", PATIENCE_S, "the silence is told")
        node.process.send_signal(signal.SIGTERM)

        assert node.exit_code() == 0
    assert not any(is_alive(pid) for pid in pids.values())


def test_all_services_are_told_with_their_states(base: Path) -> None:
    with Supervised(base) as node:
        node.wait_until_ready()
        report = asked(node.pid)

        assert report is not None
        assert {service.name: service.state for service in report.services} == dict.fromkeys(SERVICES, "running")
        assert (report.pid, report.interface, report.problem) == (node.pid, "toy0", "")
        assert report.control == str(base / "run/toy0/node.sock")


def test_programs_that_ask_without_end_keep_neither_the_supervisor_nor_others_from_their_turn(base: Path) -> None:
    with Supervised(base) as node:
        pids = node.wait_until_ready()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(import_roots())}
        command = [*beside(node.pid), sys.executable, "-c", ASKING_WITHOUT_END]
        askers = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(3)]
        try:
            for asker in askers:
                assert asker.stdout is not None
                assert asker.stdout.readline() == b"asking\n"
            wait_for(lambda: asked(node.pid), PATIENCE_S, "another one is answered")
            os.kill(pids["nat"], signal.SIGKILL)
            assert node.wait_for("child ready", child="nat")["pid"] != pids["nat"]
        finally:
            for asker in askers:
                asker.kill()
                asker.wait()
