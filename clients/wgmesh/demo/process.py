"""One process that this run started, known and ended by its id."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

STOP_TIMEOUT_S = 12.0  # a node stops within ten seconds of its own deadline, or something is wrong with it
KILL_TIMEOUT_S = 20.0  # the kernel needs milliseconds; the bound keeps a cleanup from hanging


class Process:
    """A child process whose output goes to a file."""

    def __init__(self, argv: list[str], log: Path, name: str, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches this program, which then stops its children in order
            )
        self.pid = self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs; minus the signal number if a signal ended it."""
        return self._child.poll()

    def output(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        if self.running:
            self._child.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Waits for its end and returns the exit code. Raises subprocess.TimeoutExpired."""
        return self._child.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self.send(signal.SIGKILL)
        self._child.wait(KILL_TIMEOUT_S)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """SIGTERM; SIGKILL after `timeout_s`. Returns the exit code."""
        self.send(signal.SIGTERM)
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._child.returncode


def stop_all(processes: Iterable[Process], timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Ends all of them together: SIGTERM to each, then SIGKILL to those that are left at the deadline."""
    children = list(processes)
    for child in children:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    for child in children:
        child.stop(max(0.0, deadline - time.monotonic()))
