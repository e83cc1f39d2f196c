"""Client of what every process serves beside its own service."""

from __future__ import annotations

from pathlib import Path

from wgmesh.client.channel import ServiceClient
from wgmesh.v1 import runtime_service_pb2 as runtime_pb2
from wgmesh.v1.runtime_service_pb2_grpc import RuntimeServiceStub


class RuntimeClient(ServiceClient):
    """Speaks to any service of the node on its socket."""

    def __init__(self, socket_path: Path) -> None:
        super().__init__(socket_path)
        self._stub = RuntimeServiceStub(self._channel)

    async def set_log_level(self, level: str) -> str:
        """Changes the log level; returns the one before."""
        response = await self._call(self._stub.SetLogLevel, runtime_pb2.SetLogLevelRequest(level=level))
        return str(response.previous_level)
