"""DiscoveryService on gRPC: unpack, call, pack."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import grpc.aio
from wgmesh.convert.peer import (
    ban_to_proto,
    peer_proof_from_proto,
    peers_snapshot_to_proto,
    self_description_from_proto,
)
from wgmesh.convert.scalar import duration, endpoint_to_proto, public_key, seconds
from wgmesh.core.errors import InvalidInput
from wgmesh.core.model import Ban, Endpoint
from wgmesh.discovery.io.bans import Bans
from wgmesh.discovery.io.runner import DiscoveryRunner
from wgmesh.v1 import discovery_service_pb2 as discovery_pb2
from wgmesh.v1.discovery_service_pb2_grpc import DiscoveryServiceServicer

Context = grpc.aio.ServicerContext[object, object]

SERVICE_NAME = "wgmesh.v1.DiscoveryService"
DEFAULT_PROBE_TIMEOUT_S = 4.0  # an exchange's patience
MAX_PROBE_TIMEOUT_S = 30.0


class DiscoveryServicer(DiscoveryServiceServicer):
    """Serves one runner of the core."""

    def __init__(self, runner: DiscoveryRunner, bans: Bans) -> None:
        self._runner = runner
        self._bans = bans

    async def SetSelf(self, request: discovery_pb2.SetSelfRequest, context: Context) -> discovery_pb2.SetSelfResponse:
        description = self_description_from_proto(request.description)
        proofs = [peer_proof_from_proto(proof) for proof in request.proofs]
        self._runner.set_self(description, proofs, [public_key(raw) for raw in request.lost])
        return discovery_pb2.SetSelfResponse()

    async def WatchPeers(
        self, request: discovery_pb2.WatchPeersRequest, context: Context
    ) -> AsyncIterator[discovery_pb2.WatchPeersResponse]:
        async for snapshot in self._runner.snapshots.watch():
            yield peers_snapshot_to_proto(snapshot)

    async def ProbeAddress(
        self, request: discovery_pb2.ProbeAddressRequest, context: Context
    ) -> discovery_pb2.ProbeAddressResponse:
        timeout_s = min(seconds(request, "timeout") or DEFAULT_PROBE_TIMEOUT_S, MAX_PROBE_TIMEOUT_S)
        answer = await self._runner.probe(self._target(request), timeout_s)
        return discovery_pb2.ProbeAddressResponse(
            public_key=answer.public_key.raw,
            hostname=answer.hostname,
            mesh_ipv4=str(answer.mesh_ipv4),
            round_trip_time=duration(answer.rtt_s),
            observed_endpoint=endpoint_to_proto(answer.observed_endpoint),
        )

    async def BanPeer(self, request: discovery_pb2.BanPeerRequest, context: Context) -> discovery_pb2.BanPeerResponse:
        await self._bans.ban(Ban(public_key(request.public_key), time.time(), request.reason))
        return discovery_pb2.BanPeerResponse()

    async def UnbanPeer(
        self, request: discovery_pb2.UnbanPeerRequest, context: Context
    ) -> discovery_pb2.UnbanPeerResponse:
        await self._bans.unban(public_key(request.public_key))
        return discovery_pb2.UnbanPeerResponse()

    async def ListBans(
        self, request: discovery_pb2.ListBansRequest, context: Context
    ) -> discovery_pb2.ListBansResponse:
        denylist = self._bans.denylist
        bans = [ban_to_proto(ban) for ban in denylist.bans.values()]
        return discovery_pb2.ListBansResponse(bans=bans, unread_count=len(denylist.unread))

    def _target(self, request: discovery_pb2.ProbeAddressRequest) -> Endpoint:
        try:
            return Endpoint.of(request.endpoint.host, request.endpoint.port or self._runner.exchange_port)
        except ValueError as error:
            raise InvalidInput(f"not an address to probe: {error}") from None
