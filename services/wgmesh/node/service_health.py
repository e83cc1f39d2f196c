"""How the processes of a node are: what the node sees of the others, and what their supervisor says of all."""

from __future__ import annotations

from collections.abc import Mapping

from wgmesh.convert.scalar import duration
from wgmesh.runtime.node_report import RUNNING, NodeReport
from wgmesh.v1 import node_service_pb2 as node_pb2


def service_healths(connected: Mapping[str, bool], report: NodeReport | None) -> list[node_pb2.ServiceHealth]:
    """The processes by name. `connected` says which of the others the node reaches; one that hangs stays connected."""
    told = {service.name: service for service in report.services} if report else {}
    found = []
    for name in sorted(connected.keys() | told.keys()):
        is_connected, said = connected.get(name, True), told.get(name)
        if said is None:
            found.append(node_pb2.ServiceHealth(name=name, connected=is_connected))
            continue
        found.append(
            node_pb2.ServiceHealth(
                name=name,
                connected=is_connected and said.state == RUNNING,
                state=said.state,
                state_age=duration(said.since_s),
                attempt=said.attempt,
            )
        )
    return found
