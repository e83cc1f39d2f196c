"""The supervisor's main loop: one selector, no threads, no asyncio, nothing that a fork could break."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Mapping, Sequence

from wgmesh.runtime import logs
from wgmesh.runtime.remarks import Remarks
from wgmesh.runtime.service import EXIT_OK, EXIT_PERMISSION, EXIT_UNUSABLE
from wgmesh.supervisor.heartbeats import Heartbeats
from wgmesh.supervisor.io import process
from wgmesh.supervisor.io.interface_lock import Answers
from wgmesh.supervisor.io.privileges import Account
from wgmesh.supervisor.io.process import ChildProcess, Message
from wgmesh.supervisor.io.run_directory import RunDirectory
from wgmesh.supervisor.io.wakeup import Signals
from wgmesh.supervisor.lifecycle import Effect, Input, State
from wgmesh.supervisor.reports import node_report
from wgmesh.supervisor.settings import ChildSpec, SupervisorSettings
from wgmesh.supervisor.supervision import Supervision

GIVING_UP = frozenset({EXIT_PERMISSION, EXIT_UNUSABLE})  # codes by which a child asks not to be started again

INTERRUPTED = 130  # the node's own code after Ctrl-C: 128 + SIGINT, as shells count


class Loop:
    """Carries out what `Supervision` decides, and reports to it what happens.

    `descriptors` are the supervisor's own, and not for children.
    """

    def __init__(
        self,
        children: Sequence[ChildSpec],
        settings: SupervisorSettings,
        accounts: Mapping[str, Account | None],
        signals: Signals,
        place: RunDirectory,
        answers: Answers | None,
        descriptors: Sequence[int],
    ) -> None:
        self._specs = {child.name: child for child in children}
        self._settings = settings
        self._supervision = Supervision({child.name: child.requires for child in children})
        self._heartbeats = Heartbeats(time.monotonic())
        self._accounts = accounts
        self._signals = signals
        self._place = place
        self._answers = answers
        self._descriptors = [*descriptors, *([answers.descriptor] if answers else [])]
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals.reading, selectors.EVENT_READ, self._on_signals)
        self._listen()
        self._processes: dict[str, ChildProcess] = {}
        self._reasons: dict[str, str] = {}
        self._heard: set[str] = set()  # whose heartbeat was read before the look that asks for it
        self._faults: dict[str, str] = {}  # why a child is killed that has not passed a deadline
        self._log = logs.logger()
        self._remarks = Remarks[str](time.monotonic())
        self.exit_code = EXIT_OK
        self.failure = ""  # the reason that a child gave for giving up

    def run(self) -> None:
        """Runs until no child lives."""
        with self._selector:
            while True:
                now = time.monotonic()
                if self._heartbeats.due_at() <= now:
                    self._look(now)
                for order in self._supervision.turn(now):
                    self._carry_out(order.effect, order.name)
                if self._supervision.is_over:
                    break
                for key, _ in self._selector.select(self._patience()):
                    key.data()
        for child in self._processes.values():  # only those that not even SIGKILL has ended in time
            self._log.warning("child abandoned", child=child.name, pid=child.pid)
            child.abandon()

    def _patience(self) -> float:
        due_at, look_at = self._supervision.due_at(), self._heartbeats.due_at()
        return max(0.0, (look_at if due_at is None else min(due_at, look_at)) - time.monotonic())

    def _look(self, now: float) -> None:
        """Who has said something, and whether others can still reach them."""
        states = self._supervision.states
        running = {name: child for name, child in self._processes.items() if states[name] is State.RUNNING}
        heard = self._heard | {name for name, child in running.items() if self._hear(child) is not None}
        self._heard.clear()
        for name in self._heartbeats.look(heard, now):
            self._replace(name, "its event loop does not run")
        if not self._supervision.is_stopping:
            for name in self._place.restore(running):
                self._replace(name, "its socket is gone")
            if self._place.was_made_again:
                self._log.warning("run directory made again", path=str(self._settings.interface_dir))
            for problem, unsaid in self._remarks.new([self._place.problem] if self._place.problem else [], now):
                self._log.error("run directory not made", reason=problem, others=unsaid)
        self._listen()

    def _replace(self, name: str, reason: str) -> None:
        if self._supervision.states[name] is State.RUNNING:
            self._faults[name] = reason
            self._heartbeats.forget(name)
            self._supervision.report(name, Input.MUTE, time.monotonic())

    def _listen(self) -> None:
        if self._answers is None:
            return
        self._answers.refresh()
        if self._answers.descriptor not in self._selector.get_map():
            self._selector.register(self._answers.descriptor, selectors.EVENT_READ, self._on_question)

    def _on_question(self) -> None:
        assert self._answers is not None
        now, pid = time.monotonic(), os.getpid()
        report = node_report(self._settings, pid, self._supervision, self._heartbeats, self._place.problem, now)
        self._answers.answer(report)
        if self._answers.is_tired:  # the next look listens again
            self._ignore(self._answers.descriptor)

    def _carry_out(self, effect: Effect, name: str) -> None:
        match effect:
            case Effect.FORK:
                self._fork(name)
            case Effect.TERMINATE:
                self._processes[name].send(signal.SIGTERM)
            case Effect.KILL:
                reason = self._faults.pop(name, "deadline passed")
                self._log.warning("child killed", child=name, pid=self._processes[name].pid, reason=reason)
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
            self._supervision.report(name, Input.EXITED, time.monotonic())
            return
        self._processes[name] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._on_end(child))
        self._selector.register(child.pipe, selectors.EVENT_READ, lambda: self._on_message(child))
        self._log.debug("child started", child=name, pid=child.pid)

    def _on_message(self, child: ChildProcess) -> None:
        if child.name not in self._processes:  # its end was handled in this same turn
            return
        message = self._hear(child)
        if message is None:
            self._ignore(child.pipe)  # the other end is closed: the pidfd will say the rest
            return
        if message.is_ready:
            self._log.debug("child ready", child=child.name, pid=child.pid)
            if not self._specs[child.name].may_stop_node:  # whose wish to stop is heard at once, and not at a look
                self._ignore(child.pipe)  # from now on it is read at each look: a heartbeat alone need wake nobody
            self._heard.discard(child.name)  # what it said before is part of its start
            self._heartbeats.watch(child.name)
            self._supervision.report(child.name, Input.READY, time.monotonic())
        else:
            self._heard.add(child.name)

    def _hear(self, child: ChildProcess) -> Message | None:
        message = child.read()
        if message is None:
            return None
        if message.reason:
            self._reasons[child.name] = message.reason
        if message.asks_to_stop and self._specs[child.name].may_stop_node and not self._supervision.is_stopping:
            self._log.info("node stopping", reason="asked by a client")
            self._supervision.stop()
        return message

    def _on_end(self, child: ChildProcess) -> None:
        self._on_message(child)  # the pipe may hold the reason still
        self._heartbeats.forget(child.name)
        self._ignore(child.pidfd)
        self._ignore(child.pipe)
        del self._processes[child.name]
        code = child.reap()
        reason = self._reasons.pop(child.name, "")
        gave_up = code in GIVING_UP
        self._supervision.report(child.name, Input.GAVE_UP if gave_up else Input.EXITED, time.monotonic())
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
        due_at = self._supervision.restart_due_at(child.name) or time.monotonic()
        self._log.warning(
            "child restarts",
            child=child.name,
            pid=child.pid,
            how=how,
            delay_s=round(max(0.0, due_at - time.monotonic()), 3),
            **({"reason": reason} if reason else {}),
        )

    def _on_signals(self) -> None:
        for number in self._signals.read():
            if number is signal.SIGHUP:
                for child in self._processes.values():
                    child.send(signal.SIGHUP)
            elif self._supervision.is_stopping:
                self._supervision.hasten(time.monotonic())
            else:
                self._log.info("node stopping", reason=number.name)
                if number is signal.SIGINT:
                    self.exit_code = INTERRUPTED
                self._supervision.stop()
