"""A discovery service that says what a test wants, and believes what it is told of the own node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc.aio
from wgmesh.convert.peer import peer_proof_from_proto, peers_snapshot_to_proto, self_description_from_proto
from wgmesh.core.model import PeerProof, PeersSnapshot
from wgmesh.runtime.callers import socket_path
from wgmesh.runtime.rpc_server import serve_unix
from wgmesh.runtime.snapshots import SnapshotCell
from wgmesh.v1 import discovery_service_pb2 as discovery_pb2
from wgmesh.v1.discovery_service_pb2_grpc import DiscoveryServiceServicer, add_DiscoveryServiceServicer_to_server


class FakeDiscovery(DiscoveryServiceServicer):
    """Streams what the test publishes. The methods that are missing answer that they are not implemented."""

    def __init__(self) -> None:
        self.peers = SnapshotCell(PeersSnapshot())
        self.proofs: SnapshotCell[tuple[PeerProof, ...]] = SnapshotCell(())

    async def SetSelf(self, request: discovery_pb2.SetSelfRequest, context: object) -> discovery_pb2.SetSelfResponse:
        description = self_description_from_proto(request.description)
        self.peers.publish(replace(self.peers.value, description=description))
        self.proofs.publish(tuple(map(peer_proof_from_proto, request.proofs)))
        return discovery_pb2.SetSelfResponse()

    async def WatchPeers(
        self, request: discovery_pb2.WatchPeersRequest, context: object
    ) -> AsyncIterator[discovery_pb2.WatchPeersResponse]:
        async for snapshot in self.peers.watch():
            yield peers_snapshot_to_proto(snapshot)


@asynccontextmanager
async def fake_discovery(directory: Path, caller: str) -> AsyncIterator[FakeDiscovery]:
    """Serves one in the place of a node's discovery, for one of the processes that call it."""
    discovery = FakeDiscovery()  # type: ignore[abstract]

    def register(server: grpc.aio.Server) -> None:
        add_DiscoveryServiceServicer_to_server(discovery, server)

    async with serve_unix(socket_path(directory, "discovery", caller), register, ["wgmesh.v1.DiscoveryService"]):
        yield discovery
