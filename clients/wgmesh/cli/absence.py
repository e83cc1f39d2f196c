"""Why a node does not answer: it starts, a process of it is being replaced, or there is none.

The supervisor is asked, which answers where the control socket does not: at a name that no deleted directory takes
away. Only commands that got no answer ask it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from wgmesh.cli.sockets import SocketChoice, node_directories
from wgmesh.core.errors import DaemonNotRunning, NodeRestarting, NodeStarting, NotReady
from wgmesh.runtime import supervisor_socket
from wgmesh.runtime.node_report import RUNNING, SILENT, STARTING, STOPPING, NodeReport, ServiceReport

NODE = "node"
JUST_READY_S = 1.0  # between the look for its socket and the question to its supervisor


def explained(error: NotReady, choice: SocketChoice, environ: Mapping[str, str], patience_s: float) -> NotReady:
    """Returns the error with what the supervisor says, or as it is where there is no supervisor, or no trouble.

    `patience_s` is how long the command has waited for the node at most.
    """
    reports = [report for report in _reports(choice) if _is_meant(report, choice, environ)]
    return _explanation(error, reports[0], patience_s) if len(reports) == 1 else error


def _reports(choice: SocketChoice) -> list[NodeReport]:
    names = [choice.interface] if choice.interface is not None else supervisor_socket.interfaces()
    return [report for name in names if (report := supervisor_socket.ask(name)) is not None]


def _is_meant(report: NodeReport, choice: SocketChoice, environ: Mapping[str, str]) -> bool:
    if choice.socket_path is not None:
        return os.path.abspath(choice.socket_path) == os.path.abspath(report.control)
    return Path(report.directory).absolute().parent in [
        directory.absolute() for directory in node_directories(choice, environ)
    ]


def _explanation(error: NotReady, report: NodeReport, patience_s: float) -> NotReady:
    where, node = report.interface, report.service(NODE)
    if node is None or node.state == STOPPING:
        return DaemonNotRunning(f"wgmesh on {where} is stopping")
    if node.state == STARTING:
        return NodeStarting(f"wgmesh is starting on {where}: {_listed(report.troubled)}. Try again in a moment.")
    if node.state != RUNNING:
        how = "is replaced in a moment" if node.state == SILENT else "is being replaced"
        return NodeRestarting(
            f"the node process of {where} does not answer and {how} ({_listed(report.troubled)}). "
            "Tunnels carry on meanwhile. Try again in a moment."
        )
    if not isinstance(error, DaemonNotRunning):  # the node said it, or it was replaced while it was asked
        return error if node.since_s > patience_s else NodeRestarting(_replaced(where, node))
    if node.since_s <= JUST_READY_S:
        kind = NodeRestarting if node.attempt else NodeStarting
        return kind(f"wgmesh on {where} has become ready just now. Try again.")
    if report.problem:
        return NodeRestarting(f"the control socket {report.control} cannot be made again: {report.problem}")
    return NodeRestarting(f"the control socket {report.control} is gone and is made again. Try again in a moment.")


def _replaced(where: str, node: ServiceReport) -> str:
    return f"the node process of {where} did not answer and was replaced {node.since_s:.0f} s ago. Try again."


def _listed(services: tuple[ServiceReport, ...]) -> str:
    return ", ".join(f"{service.name}: {service.text()}" for service in services)
