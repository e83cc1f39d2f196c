"""With its run directory gone a node keeps its device and its interface's name, and is reached again by itself."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest
from pages.faults import Observe, Observed
from support.lab.meshes import StartMesh, is_whole
from support.lab.pings import RunningPing
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.demo.waiting import wait_for


@pytest.mark.fault("Files of the host", "the run directory is deleted")
def test_a_run_directory_that_was_deleted_is_made_again_and_no_packet_is_lost(
    start_mesh: StartMesh, observe: Observe
) -> None:
    a, b, _ = start_mesh("a b c")
    wait_for(lambda: is_whole(a, peers=2), PATIENCE_S, "the node is whole")
    before = set(a.service_pids().values())
    with RunningPing(b.host, a.wait_until_ready().mesh_ipv4) as ping:
        shutil.rmtree(a.host.runtime_dir / a.interface)
        since = time.monotonic()
        first = a.cli("status")
        wait_for(lambda: not before & set(a.service_pids().values()), PATIENCE_S, "all processes have new sockets")
        wait_for(lambda: is_whole(a, peers=2), PATIENCE_S, "the node is whole again")
        whole_s = time.monotonic() - since
    observe(Observed(len(ping.lost), whole_s, "exit code 8 and why until then, and one line in the log"))
    assert ping.lost == []
    assert first.returncode in (exits.OK, exits.RESTARTING), first.stderr
    assert a.running_process().output().count("run directory made again") == 1


@pytest.mark.fault(
    "Files of the host", "the run directory is deleted while the supervisor is stopped, and a second node starts"
)
def test_a_second_start_is_refused_by_a_node_that_cannot_make_its_run_directory_again(
    start_mesh: StartMesh, observe: Observe
) -> None:
    """Its supervisor is stopped, so nothing but the name of the interface speaks for it."""
    a, b, _ = start_mesh("a b c")
    supervisor = a.running_process().pid
    with RunningPing(b.host, a.wait_until_ready().mesh_ipv4) as ping:
        os.kill(supervisor, signal.SIGSTOP)
        shutil.rmtree(a.host.runtime_dir)
        try:
            second = a.host.attempt(*a.join_argv())
            elsewhere = a.host.attempt(*a.join_argv("--runtime-dir", str(a.host.directory / "run2")))
        finally:
            os.kill(supervisor, signal.SIGCONT)
        wait_for(lambda: is_whole(a, peers=2), PATIENCE_S, "the node is whole again")
    observe(Observed(len(ping.lost), shown="the second start is refused, by the pid of the first"))
    assert ping.lost == []
    for refused in (second, elsewhere):
        assert refused.returncode == exits.FAILED
        assert f"wgmesh already runs on wg0 (pid {supervisor})" in refused.stderr
    assert not (a.host.directory / "run2").exists()


def test_a_node_that_ended_is_called_absent_also_where_its_directory_stays(start_mesh: StartMesh) -> None:
    a, b, _ = start_mesh("a b c")

    b.running_process().kill()
    a.running_process().stop()

    for node in (a, b):
        shown = node.cli("status", "--json")
        assert shown.returncode == exits.NOT_RUNNING
        assert '"DaemonNotRunning"' in shown.stdout
