"""Client of the nat service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc.aio
from wgmesh.client.channel import ServiceClient
from wgmesh.convert.nat import paths_snapshot_from_proto
from wgmesh.core.model import PathsSnapshot
from wgmesh.v1 import nat_service_pb2 as nat_pb2
from wgmesh.v1.nat_service_pb2_grpc import NatServiceStub


class NatClient(ServiceClient):
    """Speaks to the nat service on its socket."""

    def __init__(self, socket_path: Path, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()) -> None:
        super().__init__(socket_path, interceptors)
        self._stub = NatServiceStub(self._channel)

    def watch_paths(self) -> AsyncIterator[PathsSnapshot]:
        """Yields the paths now and after each change. It never ends."""
        return self._watch(self._stub.WatchPaths, nat_pb2.WatchPathsRequest(), paths_snapshot_from_proto)
