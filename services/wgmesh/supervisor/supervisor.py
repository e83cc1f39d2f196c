"""Runs the processes of one node from the first fork to the last exit."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from wgmesh.runtime import logs
from wgmesh.supervisor import ordering
from wgmesh.supervisor.io import capabilities, directories, interface_lock, lock, memory, separation, sockets
from wgmesh.supervisor.io.loop import Loop
from wgmesh.supervisor.io.run_directory import RunDirectory
from wgmesh.supervisor.io.wakeup import watched_signals
from wgmesh.supervisor.settings import ChildSpec, SupervisorSettings

UMASK = 0o022  # what the supervisor makes has its mode by name; a umask from outside takes nothing and gives nothing
PROCESS_NAME = "wgmesh"  # a program that was started again, or as a module, has the name of Python


def run(children: Sequence[ChildSpec], settings: SupervisorSettings) -> int:
    """Runs the children until SIGTERM or SIGINT has stopped them, and returns the exit code.

    Everything that the children need must be imported already, and nothing of gRPC be in use: they are forked. The
    code is 0, or that of a child that gave up before it was ever ready, whose reason is then written to stderr.

    Raises, before anything is started: AlreadyRunning with the pid of the other supervisor, and then nothing was
    touched; PermissionDenied or InvalidSetting for a directory or a log setting that cannot be used, or where root
    cannot give each child a user of its own and was not told to go on without; InvalidInput for requirements that
    cannot be met.
    """
    capabilities.forbid_dumps()
    capabilities.name_process(PROCESS_NAME)
    ordering.check({child.name: child.requires for child in children})
    logs.configure("supervisor", settings.interface, settings.log_level, settings.log_format)
    os.umask(UMASK)
    with interface_lock.held(settings.interface) as answers, watched_signals() as signals:
        directories.claim_run(settings.runtime_dir, settings.interface_dir)
        if settings.unfiltered:
            log = logs.logger()
            log.warning("system calls not filtered", reason=settings.unfiltered)
        with lock.held(settings.interface_dir, settings.interface) as descriptor:
            directories.ensure_writable(settings.state_dir, "--state-dir")
            with separation.strictest(children, settings) as found, sockets.published(settings):
                memory.rehearse()
                memory.settle()
                place = RunDirectory(settings, found.accounts, descriptor)
                own = (descriptor, *found.descriptors)
                loop = Loop(children, settings, found.accounts, signals, place, answers, own)
                loop.run()
    if loop.failure:
        print(f"wgmesh: {loop.failure}", file=sys.stderr)
    return loop.exit_code
