"""Runs the processes of one node from the first fork to the last exit."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from wgmesh.runtime import logs
from wgmesh.supervisor import ordering
from wgmesh.supervisor.io import directories, lock, memory, separation
from wgmesh.supervisor.io.loop import Loop
from wgmesh.supervisor.io.wakeup import watched_signals
from wgmesh.supervisor.settings import ChildSpec, SupervisorSettings


def run(children: Sequence[ChildSpec], settings: SupervisorSettings) -> int:
    """Runs the children until SIGTERM or SIGINT has stopped them, and returns the exit code.

    Everything that the children need must be imported already, and nothing of gRPC be in use: they are forked. The
    code is 0, or that of a child that gave up before it was ever ready, whose reason is then written to stderr.

    Raises, before anything is started: AlreadyRunning with the pid of the other supervisor, PermissionDenied or
    InvalidSetting for a directory or a log setting that cannot be used, InvalidInput for requirements that cannot be
    met.
    """
    ordering.check({child.name: child.requires for child in children})
    logs.configure("supervisor", settings.interface, settings.log_level, settings.log_format)
    with lock.held(settings.interface_dir, settings.interface) as descriptor, watched_signals() as signals:
        directories.ensure_writable(settings.state_dir, "--state-dir")
        directories.clear_sockets(settings.interface_dir)
        with separation.accounts_for(children, settings) as accounts:
            memory.settle()
            loop = Loop(children, accounts, signals, descriptor)
            loop.run()
    if loop.failure:
        print(f"wgmesh: {loop.failure}", file=sys.stderr)
    return loop.exit_code
