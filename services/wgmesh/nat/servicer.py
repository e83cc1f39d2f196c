"""NatService on gRPC: unpack, call, pack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
from wgmesh.convert.nat import paths_snapshot_to_proto
from wgmesh.core.model import PathsSnapshot
from wgmesh.runtime.snapshots import SnapshotCell
from wgmesh.v1 import nat_service_pb2 as nat_pb2
from wgmesh.v1.nat_service_pb2_grpc import NatServiceServicer

Context = grpc.aio.ServicerContext[object, object]

SERVICE_NAME = "wgmesh.v1.NatService"


class NatServicer(NatServiceServicer):
    """Serves the latest snapshot of paths and NAT report."""

    def __init__(self, snapshots: SnapshotCell[PathsSnapshot]) -> None:
        self._snapshots = snapshots

    async def WatchPaths(
        self, request: nat_pb2.WatchPathsRequest, context: Context
    ) -> AsyncIterator[nat_pb2.WatchPathsResponse]:
        async for snapshot in self._snapshots.watch():
            yield paths_snapshot_to_proto(snapshot)
