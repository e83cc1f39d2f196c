"""A toy node as a test sees it: its log lines as they come, its processes, its end."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from support.host_places import HostPlaces
from support.waiting import PATIENCE_S

TOY_NODE = Path(__file__).parent / "programs" / "toy_node.py"
SERVICES = frozenset({"metrics", "wireguard", "discovery", "nat", "node"})

Line = dict[str, Any]


class Supervised:
    """A supervisor with its toy services in a process of its own. As a context it is stopped at the end.

    `places` is what it sees of the machine; by default it has a /run of its own below `base`.
    """

    def __init__(
        self,
        base: Path,
        scenario: str = "plain",
        interpreter: Sequence[str] = (sys.executable,),
        places: HostPlaces | None = None,
    ) -> None:
        self.base = base
        self.lines: list[Line] = []
        self.text: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [*_own_places(places or HostPlaces(base / "host-run")), *interpreter, str(TOY_NODE), str(base), scenario],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(import_roots())},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.exit_code()

    def wait_for(self, event: str, **fields: object) -> Line:
        """Returns the next line with this event and these fields, not looking at lines seen before."""
        while True:
            line = self._next()
            if line.get("event") == event and fields.items() <= line.items():
                return line

    def wait_until_ready(self) -> dict[str, int]:
        """Returns the pid of each service, once all are ready for the first time."""
        pids: dict[str, int] = {}
        while pids.keys() != SERVICES:
            line = self.wait_for("child ready")
            pids[line["child"]] = line["pid"]
        return pids

    @property
    def pid(self) -> int:
        """The supervisor's; `unshare` and the shell before it become the same process."""
        return self.process.pid

    def exit_code(self) -> int:
        """Waits for the end and returns the exit code; `lines` and `text` are complete then."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        while (text := self._queue.get(timeout=PATIENCE_S)) is not None:
            self._keep(text)
        self._queue.put(None)
        return code

    def events(self, event: str) -> list[Line]:
        """Returns the lines with this event among those seen."""
        return [line for line in self.lines if line.get("event") == event]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            self._queue.put(text)
        self._queue.put(None)

    def _next(self) -> Line:
        text = self._queue.get(timeout=PATIENCE_S)
        if text is None:
            self._queue.put(None)
            raise AssertionError("the supervisor has ended:\n" + "".join(self.text))
        return self._keep(text)

    def _keep(self, text: str) -> Line:
        self.text.append(text)
        line: Line = json.loads(text) if text.startswith("{") else {}
        self.lines.append(line)
        return line


def _own_places(places: HostPlaces) -> list[str]:
    """A toy node must touch neither the WireGuard sockets of this machine nor the names of another's interfaces."""
    if os.geteuid() != 0:
        return list(places.beside) or ["unshare", "--map-current-user", "--net"]
    places.run.mkdir(exist_ok=True)
    return places.command()


def import_roots() -> list[str]:
    """The roots of the project and its dependencies, without the standard library: an interpreter has its own."""
    return [entry for entry in sys.path if os.path.isabs(entry) and not entry.startswith(sys.base_prefix)]


def wait_for_end(pid: int, patience_s: float) -> bool:
    """Returns whether the process ends, or is only a zombie, within the time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if not is_alive(pid):
            return True
        threading.Event().wait(0.01)
    return False


def is_alive(pid: int) -> bool:
    """Returns whether the process runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
