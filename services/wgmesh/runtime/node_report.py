"""What the supervisor of a node tells about its processes, as one line of JSON.

Not a message of gRPC: the supervisor does not use it, and a command that finds no node should not have to load it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from wgmesh.core.errors import MalformedMessage

REPORT_BYTES_MAX = 16 * 1024  # six services of a hundred bytes, two paths, and a sentence

STARTING = "starting"
RUNNING = "running"
SILENT = "silent"
RESTARTING = "restarting"
STOPPING = "stopping"
STATES = frozenset({STARTING, RUNNING, SILENT, RESTARTING, STOPPING})


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """One process: in which state it has been for how long, in seconds.

    `attempt` counts the starts since it last ran well for half a minute, 0 for the first.
    """

    name: str
    state: str
    since_s: float
    attempt: int = 0

    def text(self) -> str:
        """The words for a person, without the name."""
        attempt = f", attempt {self.attempt}" if self.attempt and self.state in (STARTING, RESTARTING) else ""
        return f"{WORDS.get(self.state, self.state)} for {self.since_s:.0f} s{attempt}"


WORDS = {
    STARTING: "starting",
    RUNNING: "running",
    SILENT: "not answering",
    RESTARTING: "restarting",
    STOPPING: "stopping",
}


@dataclass(frozen=True, slots=True)
class NodeReport:
    """All processes of one node, and where it lives. `problem` is what the supervisor fails to do, or ""."""

    interface: str
    pid: int
    directory: str
    control: str
    problem: str = ""
    services: tuple[ServiceReport, ...] = ()

    def service(self, name: str) -> ServiceReport | None:
        """Returns what is said of a service."""
        return next((service for service in self.services if service.name == name), None)

    @property
    def troubled(self) -> tuple[ServiceReport, ...]:
        """The services that do not run."""
        return tuple(service for service in self.services if service.state != RUNNING)

    def encoded(self) -> bytes:
        """Returns the line."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"


def decoded(line: bytes) -> NodeReport:
    """Reads a line. Raises MalformedMessage."""
    try:
        value = json.loads(line)
        services = tuple(
            ServiceReport(str(row["name"]), str(row["state"]), float(row["since_s"]), int(row["attempt"]))
            for row in value["services"]
        )
        if unknown := {service.state for service in services} - STATES:
            raise MalformedMessage(f"a service is {', '.join(sorted(unknown))}")
        directory, control, problem = (str(value[name]) for name in ("directory", "control", "problem"))
        return NodeReport(str(value["interface"]), int(value["pid"]), directory, control, problem, services)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedMessage(f"the supervisor's report cannot be read ({type(error).__name__})") from None
