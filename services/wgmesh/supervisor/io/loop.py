"""The supervisor's main loop: one selector, no threads, no asyncio, nothing that a fork could break."""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from wgmesh.runtime import logs
from wgmesh.runtime.service import EXIT_OK, EXIT_PERMISSION, EXIT_UNUSABLE
from wgmesh.supervisor.io import process
from wgmesh.supervisor.io.privileges import Account
from wgmesh.supervisor.io.process import ChildProcess
from wgmesh.supervisor.io.wakeup import Signals
from wgmesh.supervisor.lifecycle import Effect, Input, State
from wgmesh.supervisor.settings import ChildSpec
from wgmesh.supervisor.supervision import Supervision

GIVING_UP = frozenset({EXIT_PERMISSION, EXIT_UNUSABLE})  # codes by which a child asks not to be started again


class Loop:
    """Carries out what `Supervision` decides, and reports to it what happens."""

    def __init__(
        self,
        children: Sequence[ChildSpec],
        accounts: Mapping[str, Account | None],
        signals: Signals,
        descriptors: Sequence[int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._specs = {child.name: child for child in children}
        self._supervision = Supervision({child.name: child.requires for child in children})
        self._accounts = accounts
        self._signals = signals
        self._descriptors = descriptors  # of the supervisor, and not for children
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals.reading, selectors.EVENT_READ, self._on_signals)
        self._processes: dict[str, ChildProcess] = {}
        self._reasons: dict[str, str] = {}
        self._log = logs.logger()
        self.exit_code = EXIT_OK
        self.failure = ""  # the reason that a child gave for giving up

    def run(self) -> None:
        """Runs until no child lives."""
        with self._selector:
            while True:
                for order in self._supervision.turn(self._clock()):
                    self._carry_out(order.effect, order.name)
                if self._supervision.is_over:
                    break
                for key, _ in self._selector.select(self._patience()):
                    key.data()
        for child in self._processes.values():  # only those that not even SIGKILL has ended in time
            self._log.warning("child abandoned", child=child.name, pid=child.pid)
            child.abandon()

    def _patience(self) -> float | None:
        due_at = self._supervision.due_at()
        return None if due_at is None else max(0.0, due_at - self._clock())

    def _carry_out(self, effect: Effect, name: str) -> None:
        match effect:
            case Effect.FORK:
                self._fork(name)
            case Effect.TERMINATE:
                self._processes[name].send(signal.SIGTERM)
            case Effect.KILL:
                self._log.warning("child killed", child=name, pid=self._processes[name].pid, reason="deadline passed")
                self._processes[name].send(signal.SIGKILL)
            case Effect.NONE:
                pass

    def _fork(self, name: str) -> None:
        own = (*self._descriptors, self._selector.fileno(), self._signals.reading, self._signals.writing)
        siblings = (end for child in self._processes.values() for end in (child.pidfd, child.pipe))
        try:
            child = process.fork(self._specs[name], self._accounts[name], (*own, *siblings))
        except OSError as error:
            self._log.error("child not started", child=name, reason=error.strerror)
            self._supervision.report(name, Input.EXITED, self._clock())
            return
        self._processes[name] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._on_end(child))
        self._selector.register(child.pipe, selectors.EVENT_READ, lambda: self._on_message(child))
        self._log.debug("child started", child=name, pid=child.pid)

    def _on_message(self, child: ChildProcess) -> None:
        if child.name not in self._processes:  # its end was handled in this same turn
            return
        message = child.read()
        if message is None:
            self._ignore(child.pipe)  # the other end is closed: the pidfd will say the rest
            return
        if message.reason:
            self._reasons[child.name] = message.reason
        if message.is_ready:
            self._log.info("child ready", child=child.name, pid=child.pid)
            self._supervision.report(child.name, Input.READY, self._clock())

    def _on_end(self, child: ChildProcess) -> None:
        self._on_message(child)  # the pipe may hold the reason still
        self._ignore(child.pidfd)
        self._ignore(child.pipe)
        del self._processes[child.name]
        code = child.reap()
        reason = self._reasons.pop(child.name, "")
        gave_up = code in GIVING_UP
        self._supervision.report(child.name, Input.GAVE_UP if gave_up else Input.EXITED, self._clock())
        self._log_end(child, code, reason)
        if self._supervision.states[child.name] is State.FAILED:
            self.exit_code, self.failure = code, reason or f"{child.name} ended with code {code}"

    def _ignore(self, descriptor: int) -> None:
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def _log_end(self, child: ChildProcess, code: int, reason: str) -> None:
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        if self._supervision.is_stopping:
            self._log.debug("child ended", child=child.name, pid=child.pid, how=how)
            return
        due_at = self._supervision.restart_due_at(child.name) or self._clock()
        self._log.warning(
            "child restarts",
            child=child.name,
            pid=child.pid,
            how=how,
            delay_s=round(max(0.0, due_at - self._clock()), 3),
            **({"reason": reason} if reason else {}),
        )

    def _on_signals(self) -> None:
        for number in self._signals.read():
            if number is signal.SIGHUP:
                for child in self._processes.values():
                    child.send(signal.SIGHUP)
            elif self._supervision.is_stopping:
                self._supervision.hasten(self._clock())
            else:
                self._log.info("node stopping", reason=number.name)
                self._supervision.stop()
