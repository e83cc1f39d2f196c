"""The control socket: unpack, look at the picture, pack."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import grpc.aio
from wgmesh.client.discovery import DiscoveryClient
from wgmesh.client.nat import NatClient
from wgmesh.convert.clock_times import MessageT, by_the_clock
from wgmesh.convert.peer import ban_to_proto
from wgmesh.convert.scalar import duration, endpoint_to_proto, seconds
from wgmesh.core.errors import InvalidInput
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.node.forecast import forecast_to_proto
from wgmesh.node.health import health_to_proto
from wgmesh.node.io.reconcile_loop import ReconcileLoop
from wgmesh.node.settings import NodeSettings
from wgmesh.node.status import chosen_address, chosen_ban, chosen_for_ban, peer_statuses, select_peer, status
from wgmesh.runtime.clock import CLOCK
from wgmesh.runtime.node_report import NodeReport
from wgmesh.v1 import node_service_pb2 as node_pb2
from wgmesh.v1.node_service_pb2_grpc import NodeServiceServicer

PROBE_TIMEOUT_MAX_S = 60.0
PING_TIMEOUT_S = 2.0  # four times the slowest ordinary round trip
PING_TIMEOUT_MAX_S = 60.0

SUPERVISOR_SILENT = node_pb2.Warning(
    code="supervisor-silent",
    text="The supervisor of this node does not answer, or another user holds its name: a process of the node that ends "
    "or hangs is not shown, and perhaps not started again. If this stays, start the node again.",
)

Context = grpc.aio.ServicerContext[object, object]


class NodeServicer(NodeServiceServicer):
    """Serves clients from the latest picture."""

    def __init__(
        self,
        settings: NodeSettings,
        loop: ReconcileLoop,
        discovery: DiscoveryClient,
        nat: NatClient,
        reload: Callable[[], Awaitable[tuple[list[str], list[str]]]],
        stop: Callable[[], int],
        version: str,
        started_at: float,
        is_separated: bool,
        report: Callable[[], Awaitable[NodeReport | None]],
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._discovery = discovery
        self._nat = nat
        self._reload = reload
        self._stop = stop
        self._version = version
        self._started_at = started_at
        self._is_separated = is_separated
        self._report = report

    def _peers(self) -> tuple[node_pb2.PeerStatus, ...]:
        picture = self._loop.pictures.value
        return peer_statuses(picture) if picture else ()

    def _health(self) -> node_pb2.Health:
        return health_to_proto(self._loop.health())

    async def GetStatus(self, request: node_pb2.GetStatusRequest, context: Context) -> node_pb2.GetStatusResponse:
        report = await self._report()
        response = status(self._settings, self._loop.pictures.value, self._version, self._started_at, report)
        response.health.CopyFrom(self._health())
        response.privileges_separated = self._is_separated
        if report is None:
            response.warnings.append(SUPERVISOR_SILENT)
        return _for_clients(response)

    async def ListPeers(self, request: node_pb2.ListPeersRequest, context: Context) -> node_pb2.ListPeersResponse:
        return _for_clients(node_pb2.ListPeersResponse(peers=self._peers(), health=self._health()))

    async def GetPeer(self, request: node_pb2.GetPeerRequest, context: Context) -> node_pb2.GetPeerResponse:
        peer = select_peer(self._peers(), request.selector)
        return _for_clients(node_pb2.GetPeerResponse(peer=peer, health=self._health()))

    async def WatchPeers(
        self, request: node_pb2.NodeServiceWatchPeersRequest, context: Context
    ) -> AsyncIterator[node_pb2.NodeServiceWatchPeersResponse]:
        revision = 0
        async for picture in self._loop.pictures.watch():
            revision += 1
            peers = peer_statuses(picture) if picture else ()
            yield _for_clients(
                node_pb2.NodeServiceWatchPeersResponse(revision=revision, peers=peers, health=self._health())
            )

    async def PlanTurn(self, request: node_pb2.PlanTurnRequest, context: Context) -> node_pb2.PlanTurnResponse:
        return forecast_to_proto(await self._loop.plan(context.time_remaining()))

    async def ProbePeer(self, request: node_pb2.ProbePeerRequest, context: Context) -> node_pb2.ProbePeerResponse:
        port = request.endpoint.port or self._settings.keys.gossip_port
        try:
            endpoint = Endpoint.of(request.endpoint.host, port)
        except ValueError as error:
            raise InvalidInput(f"cannot probe {request.endpoint.host!r}: {error}") from None
        timeout_s = min(seconds(request, "timeout") or 10.0, PROBE_TIMEOUT_MAX_S)
        result = await self._discovery.probe_address(endpoint, timeout_s)
        return node_pb2.ProbePeerResponse(
            public_key=result.public_key.raw,
            hostname=result.hostname,
            mesh_ipv4=str(result.mesh_ipv4),
            round_trip_time=duration(result.rtt_s),
            observed_endpoint=endpoint_to_proto(result.observed_endpoint),
        )

    async def PingPeer(
        self, request: node_pb2.NodeServicePingPeerRequest, context: Context
    ) -> node_pb2.NodeServicePingPeerResponse:
        peer = select_peer(self._peers(), request.selector)
        address = chosen_address(peer, request.selector)
        timeout_s = min(seconds(request, "timeout") or PING_TIMEOUT_S, PING_TIMEOUT_MAX_S)
        ping = await self._nat.ping_peer(PublicKey(peer.public_key), address, timeout_s)
        return node_pb2.NodeServicePingPeerResponse(public_key=peer.public_key, hostname=peer.hostname, ping=ping)

    async def CheckNetwork(
        self, request: node_pb2.NodeServiceCheckNetworkRequest, context: Context
    ) -> AsyncIterator[node_pb2.NodeServiceCheckNetworkResponse]:
        async for finding in self._nat.check_network():
            yield _for_clients(node_pb2.NodeServiceCheckNetworkResponse(finding=finding))

    async def Stop(self, request: node_pb2.StopRequest, context: Context) -> node_pb2.StopResponse:
        return node_pb2.StopResponse(pid=self._stop())

    async def Reload(self, request: node_pb2.ReloadRequest, context: Context) -> node_pb2.ReloadResponse:
        changes, problems = await self._reload()
        return node_pb2.ReloadResponse(changes=changes, problems=problems)

    async def BanPeer(
        self, request: node_pb2.NodeServiceBanPeerRequest, context: Context
    ) -> node_pb2.NodeServiceBanPeerResponse:
        key, hostname = chosen_for_ban(self._loop.pictures.value, self._settings, request.selector)
        await self._discovery.ban_peer(key, request.reason)
        return node_pb2.NodeServiceBanPeerResponse(public_key=key.raw, hostname=hostname)

    async def UnbanPeer(
        self, request: node_pb2.NodeServiceUnbanPeerRequest, context: Context
    ) -> node_pb2.NodeServiceUnbanPeerResponse:
        bans, _ = await self._discovery.list_bans()
        key = chosen_ban(bans, request.selector)
        await self._discovery.unban_peer(key)
        return node_pb2.NodeServiceUnbanPeerResponse(public_key=key.raw)

    async def ListBans(
        self, request: node_pb2.NodeServiceListBansRequest, context: Context
    ) -> node_pb2.NodeServiceListBansResponse:
        bans, unread_count = await self._discovery.list_bans()
        return node_pb2.NodeServiceListBansResponse(bans=map(ban_to_proto, bans), unread_count=unread_count)


def _for_clients(message: MessageT) -> MessageT:
    """What clients are told has the times of the host's clock, as it stands."""
    return by_the_clock(message, CLOCK.ahead_s())
