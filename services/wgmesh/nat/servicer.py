"""NatService on gRPC: unpack, call, pack."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import grpc.aio
from wgmesh.convert.nat import paths_snapshot_to_proto
from wgmesh.convert.scalar import duration, endpoint_to_proto, public_key, seconds, timestamp
from wgmesh.core.model import PathsSnapshot, PublicKey
from wgmesh.nat.check.findings import Evidence, Finding
from wgmesh.nat.io.peer_pings import PingOutcome, Way
from wgmesh.runtime.snapshots import SnapshotCell
from wgmesh.v1 import nat_service_pb2 as nat_pb2
from wgmesh.v1.nat_service_pb2_grpc import NatServiceServicer

Context = grpc.aio.ServicerContext[object, object]

PING_TIMEOUT_S = 2.0  # four times the slowest ordinary round trip
PING_TIMEOUT_MAX_S = 60.0

_WAYS = {Way.ECHO: nat_pb2.PingPeerResponse.WAY_ECHO, Way.CONNECTION: nat_pb2.PingPeerResponse.WAY_CONNECTION}

SERVICE_NAME = "wgmesh.v1.NatService"


class NatServicer(NatServiceServicer):
    """Serves the latest snapshot of paths and NAT report; pings and checks the network on demand."""

    def __init__(
        self,
        snapshots: SnapshotCell[PathsSnapshot],
        ping: Callable[[PublicKey, str, float], Awaitable[PingOutcome]],
        check: Callable[[], AsyncGenerator[Finding, None]],
    ) -> None:
        self._snapshots = snapshots
        self._ping = ping
        self._check = check

    async def WatchPaths(
        self, request: nat_pb2.WatchPathsRequest, context: Context
    ) -> AsyncIterator[nat_pb2.WatchPathsResponse]:
        async for snapshot in self._snapshots.watch():
            yield paths_snapshot_to_proto(snapshot)

    async def PingPeer(self, request: nat_pb2.PingPeerRequest, context: Context) -> nat_pb2.PingPeerResponse:
        timeout_s = min(seconds(request, "timeout") or PING_TIMEOUT_S, PING_TIMEOUT_MAX_S)
        outcome = await self._ping(public_key(request.public_key), request.address, timeout_s)
        return nat_pb2.PingPeerResponse(
            address=str(outcome.address), round_trip_time=duration(outcome.rtt_s), way=_WAYS[outcome.way]
        )

    async def CheckNetwork(
        self, request: nat_pb2.CheckNetworkRequest, context: Context
    ) -> AsyncIterator[nat_pb2.CheckNetworkResponse]:
        async with aclosing(self._check()) as findings:
            async for finding in findings:
                yield nat_pb2.CheckNetworkResponse(finding=_finding_to_proto(finding))


def _finding_to_proto(finding: Finding) -> nat_pb2.NetworkFinding:
    return nat_pb2.NetworkFinding(
        subject=finding.subject.value,
        value=finding.value,
        detail=finding.detail,
        evidence=[_evidence_to_proto(each) for each in finding.evidence],
        port_step=finding.port_step or 0,
        external_endpoint=endpoint_to_proto(finding.external),
    )


def _evidence_to_proto(evidence: Evidence) -> nat_pb2.NetworkEvidence:
    return nat_pb2.NetworkEvidence(
        server=endpoint_to_proto(evidence.server),
        local_port=evidence.local_port,
        seen_endpoint=endpoint_to_proto(evidence.seen),
        note=evidence.note,
        answer_time=timestamp(evidence.at),
    )
