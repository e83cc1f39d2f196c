"""One child process: forked from the imported supervisor, watched through a pidfd and a pipe."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass

from wgmesh.core.errors import MeshError
from wgmesh.runtime.notify import GIVE_UP, READY, STOP, ParentPipe
from wgmesh.runtime.service import EXIT_BUG, EXIT_UNUSABLE
from wgmesh.supervisor.io import capabilities, privileges, syscall_filter
from wgmesh.supervisor.io.privileges import Account
from wgmesh.supervisor.io.wakeup import WATCHED, signals_held_back
from wgmesh.supervisor.settings import ChildSpec

PIPE_BYTES = 64 * 1024  # all that a pipe holds (pipe(7)): a day of heartbeats, if the supervisor was stopped


@dataclass(frozen=True, slots=True)
class Message:
    """What a child said through its pipe; if it is neither ready nor gives a reason, then that its loop runs."""

    is_ready: bool
    reason: str = ""
    asks_to_stop: bool = False


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A running child. `pidfd` becomes readable when it has ended, `pipe` when it has said something."""

    name: str
    pid: int
    pidfd: int
    pipe: int

    def read(self) -> Message | None:
        """Returns what the child said, or None if it said nothing (more)."""
        try:
            data = os.read(self.pipe, PIPE_BYTES)
        except BlockingIOError:
            return None
        if not data:
            return None
        before, mark, reason = data.partition(GIVE_UP)
        return Message(READY in before, reason.decode(errors="replace") if mark else "", STOP in before)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal. One that comes too late is no error: the pidfd never names another process."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return

    def reap(self) -> int:
        """Returns the exit code of the ended process, negative for a signal, and lets go of it."""
        _, status = os.waitpid(self.pid, 0)
        self.abandon()
        return os.waitstatus_to_exitcode(status)

    def abandon(self) -> None:
        """Closes what the supervisor holds of the child."""
        os.close(self.pidfd)
        os.close(self.pipe)


def fork(spec: ChildSpec, account: Account | None, not_for_child: Iterable[int]) -> ChildProcess:
    """Starts a child as `account`, or as the supervisor's own user. Raises OSError if there can be no more processes.

    `not_for_child` are the supervisor's own descriptors.
    """
    supervisor_pid = os.getpid()
    reading, writing = os.pipe()
    try:
        with signals_held_back():
            pid = os.fork()
            if pid == 0:
                _live(spec, account, supervisor_pid, writing, (*not_for_child, reading))
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    os.close(writing)
    os.set_blocking(reading, False)  # the writing end is another open file, and has its own flag
    return ChildProcess(spec.name, pid, os.pidfd_open(pid), reading)


def _live(
    spec: ChildSpec, account: Account | None, supervisor_pid: int, pipe: int, not_for_child: Iterable[int]
) -> None:
    """The whole life of the child. Never returns, whatever happens: above it lies the supervisor's stack."""
    code = EXIT_BUG
    try:
        _end_with(supervisor_pid)
        _forget_supervisor(not_for_child)
        if account is not None:
            privileges.become(account)
            _end_with(supervisor_pid)  # the change of user has undone it
        capabilities.forbid_dumps()  # and may have undone that of the supervisor
        os.umask(privileges.CHILD_UMASK)
        capabilities.name_process(f"wgmesh-{spec.name}")
        if spec.syscalls:
            syscall_filter.install(spec.syscalls)
        os.set_blocking(pipe, False)
        notify = ParentPipe(pipe, is_separated=account is not None and account.uid != 0)
        try:
            code = spec.target(notify)
        except MeshError as error:
            notify.give_up(str(error))
            code = EXIT_UNUSABLE
    except SystemExit as request:
        code = request.code if isinstance(request.code, int) else EXIT_BUG
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _end_with(supervisor_pid: int) -> None:
    capabilities.die_with_parent()
    if os.getppid() != supervisor_pid:  # it ended before the kernel knew
        os._exit(EXIT_BUG)


def _forget_supervisor(descriptors: Iterable[int]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
    os.setsid()  # a terminal's SIGINT goes to its own session only
    for descriptor in descriptors:
        os.close(descriptor)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
