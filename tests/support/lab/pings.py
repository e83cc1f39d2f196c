"""A real `ping` that runs beside what a test does, and what it lost."""

from __future__ import annotations

import re
import signal
from itertools import count
from types import TracebackType
from typing import Protocol, Self

from support.waiting import PATIENCE_S
from wgmesh.demo.process import Process
from wgmesh.demo.waiting import wait_for

INTERVAL_S = 0.02  # fifty a second: an interruption of a twentieth of a second shows
_serial = count(1)  # each ping has a log of its own
_ANSWER = re.compile(r"icmp_seq=(\d+)")


class Machine(Protocol):
    """Where a ping can run."""

    @property
    def name(self) -> str: ...

    def spawn(self, *command: str, name: str) -> Process: ...


class RunningPing:
    """Pings `address` from `host` while the block runs; afterwards `lost` tells which packets had no answer."""

    def __init__(self, host: Machine, address: str) -> None:
        self._host = host
        self._address = address
        self._process: Process | None = None
        self.sent_count = 0
        self.lost: list[int] = []

    def __enter__(self) -> Self:
        self._process = self._host.spawn(
            "ping", "-n", "-O", "-i", str(INTERVAL_S), self._address, name=f"ping-{next(_serial)}"
        )
        wait_for(lambda: self.answered(), PATIENCE_S, f"{self._host.name} pings {self._address}")
        return self

    def answered(self) -> set[int]:
        """The sequence numbers that were answered so far."""
        if self._process is None:
            return set()
        lines = self._process.output().splitlines()
        return {int(found.group(1)) for line in lines if "bytes from" in line and (found := _ANSWER.search(line))}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        before = max(self.answered(), default=0)
        if kind is None:  # a few more answers prove that it still flows at the end
            wait_for(lambda: max(self.answered(), default=0) >= before + 3, PATIENCE_S, "the ping goes on at the end")
        self._process.send(signal.SIGINT)
        self._process.wait(PATIENCE_S)
        answered = self.answered()
        # What came after the last answer may have been under way when the ping was ended.
        self.sent_count = max(answered, default=0)
        self.lost = [number for number in range(1, self.sent_count + 1) if number not in answered]
