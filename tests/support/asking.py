"""Asks the supervisor of a node in another network namespace, as a command there would."""

from __future__ import annotations

import os
import subprocess
import sys

from support.supervised import import_roots
from wgmesh.runtime.node_report import NodeReport, decoded

PROGRAM = """
import sys
from wgmesh.runtime.supervisor_socket import ask
report = ask(sys.argv[1])
sys.stdout.buffer.write(report.encoded() if report else b"")
"""


def beside(pid: int) -> list[str]:
    """What stands before a command so that it runs in the network namespace of a process."""
    own_user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    return ["nsenter", "--target", str(pid), "--net", *own_user]


def asked(pid: int, interface: str = "toy0") -> NodeReport | None:
    """What the supervisor of `interface` in the namespace of `pid` says, or None."""
    answer = subprocess.run(
        [*beside(pid), sys.executable, "-c", PROGRAM, interface],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(import_roots())},
    ).stdout
    return decoded(answer) if answer else None


def state_of(pid: int, service: str) -> str:
    """What the supervisor says of a service, "" if it says nothing."""
    report = asked(pid)
    said = report.service(service) if report else None
    return said.state if said else ""
