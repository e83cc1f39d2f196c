"""How a command ends that shows a node which cannot do its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgmesh.cli import exits

if TYPE_CHECKING:
    from wgmesh.v1 import node_service_pb2 as node_pb2


def code_of(health: node_pb2.Health) -> int:
    """Returns UNABLE where the node cannot look after its tunnels; what is merely worse than usual is no failure."""
    return exits.UNABLE if health.state == health.STATE_FAILING else exits.OK
