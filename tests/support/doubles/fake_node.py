"""A node service with fixed answers on a real unix socket."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from wgmesh.client.errors import ERROR_NAME_KEY
from wgmesh.core.errors import MeshError, NotFound, PeerNotFound
from wgmesh.runtime.rpc_errors import status_of
from wgmesh.v1 import device_pb2, discovery_service_pb2, endpoint_pb2, nat_service_pb2, peer_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2
from wgmesh.v1.node_service_pb2_grpc import NodeServiceServicer, add_NodeServiceServicer_to_server

STARTED_AT = 1_700_000_000
NOW = STARTED_AT + 3700.0
OWN_KEY = bytes(range(32))
ALICE_KEY = bytes(range(1, 33))
BOB_KEY = bytes(range(2, 34))
ALICE_TEXT = base64.b64encode(ALICE_KEY).decode()


def alice() -> node_pb2.PeerStatus:
    """A connected peer on the same LAN."""
    return node_pb2.PeerStatus(
        public_key=ALICE_KEY,
        hostname="alice",
        mesh_ipv4="10.55.1.2",
        mesh_ipv6="fd00::2",
        state=node_pb2.PeerStatus.STATE_CONNECTED,
        path="direct-lan",
        endpoint=endpoint_pb2.Endpoint(host="192.0.2.7", port=51820),
        handshake_time=Timestamp(seconds=STARTED_AT + 3688),
        rx_bytes=1536,
        tx_bytes=92,
        round_trip_time=Duration(nanos=1_250_000),
        measure_time=Timestamp(seconds=STARTED_AT + 3680),
        last_seen_time=Timestamp(seconds=STARTED_AT + 3697),
        discovery_methods=["lan", "dht"],
        routable_networks=["192.168.77.0/24"],
        introducer=True,
        nat_type="cone",
        native=True,
        prove_time=Timestamp(seconds=STARTED_AT + 3690),
        proof="handshake",
    )


def able() -> node_pb2.Health:
    return node_pb2.Health(
        state=node_pb2.Health.STATE_OK,
        start_time=Timestamp(seconds=STARTED_AT),
        look_time=Timestamp(seconds=STARTED_AT + 3700),
    )


def failing() -> node_pb2.Health:
    """A device that was taken by somebody else."""
    return node_pb2.Health(
        state=node_pb2.Health.STATE_FAILING,
        start_time=Timestamp(seconds=STARTED_AT + 3640),
        look_time=Timestamp(seconds=STARTED_AT + 3580),
        reason="The key is another.",
        advice="Remove the interface.",
    )


def bob() -> node_pb2.PeerStatus:
    """A peer that was heard of and never reached, with a long name."""
    return node_pb2.PeerStatus(
        public_key=BOB_KEY,
        hostname="a-host-name-of-more-than-twenty-signs",
        mesh_ipv4="10.55.1.3",
        state=node_pb2.PeerStatus.STATE_CONNECTING,
        reason="no handshake yet",
        path="none",
        last_seen_time=Timestamp(seconds=STARTED_AT + 100),
        discovery_methods=["gossip-transitive"],
    )


def status() -> node_pb2.GetStatusResponse:
    return node_pb2.GetStatusResponse(
        version="0.1.0",
        privileges_separated=True,
        interface="wg7",
        backend="kernel",
        public_key=OWN_KEY,
        hostname="home",
        mesh_ipv4="10.55.1.1",
        mesh_ipv6="fd00::1",
        mesh_subnet="10.55.0.0/16",
        mesh_ipv6_prefix="fd00::/64",
        mesh_fingerprint="4c9777c36bfab7f3",
        listen_port=51820,
        exchange_port=51980,
        mtu=1420,
        start_time=Timestamp(seconds=STARTED_AT),
        health=able(),
        active_peer_count=1,
        total_peer_count=2,
        nat=nat_service_pb2.NatReport(
            enabled=True,
            mapping=nat_service_pb2.MAPPING_ENDPOINT_INDEPENDENT,
            external_endpoint=endpoint_pb2.Endpoint(host="203.0.113.9", port=40000),
            from_wireguard_port=True,
            answer_time=Timestamp(seconds=STARTED_AT + 3640),
        ),
        layers=[
            discovery_service_pb2.DiscoveryLayer(
                name="lan",
                state=discovery_service_pb2.DiscoveryLayer.STATE_RUNNING,
                hear_time=Timestamp(seconds=STARTED_AT + 3699),
            ),
            discovery_service_pb2.DiscoveryLayer(
                name="dht", state=discovery_service_pb2.DiscoveryLayer.STATE_UNAVAILABLE, detail="not in this version"
            ),
        ],
        warnings=[node_pb2.Warning(code="weak-secret", text="the secret looks easy to guess")],
        refused_routes=[
            device_pb2.RefusedRoute(network="10.0.0.0/8", public_key=BOB_KEY, reason="overlaps the mesh subnet")
        ],
        routable_networks=["192.168.9.0/24"],
        services=[
            node_pb2.ServiceHealth(name="discovery", connected=True),
            node_pb2.ServiceHealth(name="nat", connected=False),
        ],
    )


def plan() -> node_pb2.PlanTurnResponse:
    """Two steps, one of them for a peer with a name, and one thing of each kind that will not be done."""
    return node_pb2.PlanTurnResponse(
        actions=[
            device_pb2.PlannedAction(
                kind=device_pb2.PlannedAction.KIND_SET_MTU, what="set MTU 1420", why="It is 1300."
            ),
            device_pb2.PlannedAction(
                kind=device_pb2.PlannedAction.KIND_ADD_ROUTE,
                what="add route 192.168.77.0/24 to peer AQIDBAUG",
                why="Peer AQIDBAUG advertises it. Its tunnel works.",
                public_key=ALICE_KEY,
                hostname="alice\x1b[2J",
                network="192.168.77.0/24",
            ),
        ],
        refused_routes=[
            device_pb2.RefusedRoute(network="10.0.0.0/8", public_key=BOB_KEY, reason="It overlaps the mesh.")
        ],
        peer_failures=[device_pb2.PeerFailure(public_key=BOB_KEY, reason="No space left.")],
    )


@dataclass
class FakeNode(NodeServiceServicer):
    """Answers with what it holds and records what it was asked. `error` is raised by every method when set."""

    peers: Sequence[node_pb2.PeerStatus] = field(default_factory=lambda: (alice(), bob()))
    error: MeshError | None = None
    probed: list[tuple[str, int]] = field(default_factory=list)
    reload_problems: tuple[str, ...] = ()
    bans: list[peer_pb2.Ban] = field(default_factory=list)
    unread_bans: int = 0
    asked: list[str] = field(default_factory=list)
    """The full names of the methods that were called."""
    plan: node_pb2.PlanTurnResponse = field(default_factory=plan)
    health: node_pb2.Health = field(default_factory=able)
    services: Sequence[node_pb2.ServiceHealth] | None = None
    """What `status` says of the processes, if not the usual."""
    round_trips_s: list[float | None] = field(default_factory=list)
    """What comes of each ping, None for no answer; when none is left, each takes a millisecond."""
    out_of_round_trips: MeshError | None = None
    """What a ping raises when none is left, instead."""
    findings: Sequence[nat_service_pb2.NetworkFinding] = (
        nat_service_pb2.NetworkFinding(subject="udp", value="answered"),
    )
    """What a check of the network finds."""
    stopping: Callable[[], int] = os.getpid
    """Called when it is asked to stop; returns the pid that it tells."""

    def GetStatus(self, request: node_pb2.GetStatusRequest, context: Any) -> node_pb2.GetStatusResponse:
        self._fail_if_asked(context)
        told = status()
        told.health.CopyFrom(self.health)
        if self.services is not None:
            del told.services[:]
            told.services.extend(self.services)
        return told

    def ListPeers(self, request: node_pb2.ListPeersRequest, context: Any) -> node_pb2.ListPeersResponse:
        self._fail_if_asked(context)
        return node_pb2.ListPeersResponse(peers=self.peers, health=self.health)

    def GetPeer(self, request: node_pb2.GetPeerRequest, context: Any) -> node_pb2.GetPeerResponse:
        found = [
            peer
            for peer in self.peers
            if request.selector in (peer.hostname, peer.mesh_ipv4)
            or base64.b64encode(peer.public_key).decode().startswith(request.selector)
        ]
        if not found:
            _abort(context, PeerNotFound(f"no peer fits {request.selector!r}"))
        return node_pb2.GetPeerResponse(peer=found[0], health=self.health)

    def WatchPeers(
        self, request: node_pb2.NodeServiceWatchPeersRequest, context: Any
    ) -> Iterator[node_pb2.NodeServiceWatchPeersResponse]:
        for revision in (1, 2):
            peers = self.peers[:revision]
            yield node_pb2.NodeServiceWatchPeersResponse(revision=revision, peers=peers, health=self.health)

    def PlanTurn(self, request: node_pb2.PlanTurnRequest, context: Any) -> node_pb2.PlanTurnResponse:
        self._fail_if_asked(context)
        return self.plan

    def ProbePeer(self, request: node_pb2.ProbePeerRequest, context: Any) -> node_pb2.ProbePeerResponse:
        self.probed.append((request.endpoint.host, request.endpoint.port))
        self._fail_if_asked(context)
        return node_pb2.ProbePeerResponse(
            public_key=ALICE_KEY,
            hostname="alice",
            mesh_ipv4="10.55.1.2",
            round_trip_time=Duration(nanos=2_500_000),
            observed_endpoint=endpoint_pb2.Endpoint(host="192.0.2.1", port=51980),
        )

    def PingPeer(
        self, request: node_pb2.NodeServicePingPeerRequest, context: Any
    ) -> node_pb2.NodeServicePingPeerResponse:
        peer = self.GetPeer(node_pb2.GetPeerRequest(selector=request.selector), context).peer
        self._fail_if_asked(context)
        if self.out_of_round_trips is not None and not self.round_trips_s:
            _abort(context, self.out_of_round_trips)
        rtt_s = self.round_trips_s.pop(0) if self.round_trips_s else 0.001
        ping = nat_service_pb2.PingPeerResponse(address=peer.mesh_ipv4, way=nat_service_pb2.PingPeerResponse.WAY_ECHO)
        if rtt_s is not None:
            ping.round_trip_time.FromMicroseconds(round(rtt_s * 1e6))
        return node_pb2.NodeServicePingPeerResponse(public_key=peer.public_key, hostname=peer.hostname, ping=ping)

    def CheckNetwork(
        self, request: node_pb2.NodeServiceCheckNetworkRequest, context: Any
    ) -> Iterator[node_pb2.NodeServiceCheckNetworkResponse]:
        self._fail_if_asked(context)
        for finding in self.findings:
            yield node_pb2.NodeServiceCheckNetworkResponse(finding=finding)

    def Stop(self, request: node_pb2.StopRequest, context: Any) -> node_pb2.StopResponse:
        self._fail_if_asked(context)
        return node_pb2.StopResponse(pid=self.stopping())

    def BanPeer(self, request: node_pb2.NodeServiceBanPeerRequest, context: Any) -> node_pb2.NodeServiceBanPeerResponse:
        self._fail_if_asked(context)
        found = [peer for peer in self.peers if peer.hostname == request.selector]
        if not found and len(request.selector) != len(ALICE_TEXT):
            _abort(context, PeerNotFound(f"no peer fits {request.selector!r}"))
        key = found[0].public_key if found else base64.b64decode(request.selector)
        at = Timestamp(seconds=STARTED_AT)
        self.bans.append(peer_pb2.Ban(public_key=key, ban_time=at, reason=request.reason))
        return node_pb2.NodeServiceBanPeerResponse(public_key=key, hostname=found[0].hostname if found else "")

    def UnbanPeer(
        self, request: node_pb2.NodeServiceUnbanPeerRequest, context: Any
    ) -> node_pb2.NodeServiceUnbanPeerResponse:
        self._fail_if_asked(context)
        if not self.bans:
            _abort(context, NotFound(f"no banned key begins with {request.selector!r}"))
        ban = self.bans.pop()
        assert base64.b64encode(ban.public_key).decode().startswith(request.selector)
        return node_pb2.NodeServiceUnbanPeerResponse(public_key=ban.public_key)

    def ListBans(
        self, request: node_pb2.NodeServiceListBansRequest, context: Any
    ) -> node_pb2.NodeServiceListBansResponse:
        return node_pb2.NodeServiceListBansResponse(bans=self.bans, unread_count=self.unread_bans)

    def Reload(self, request: node_pb2.ReloadRequest, context: Any) -> node_pb2.ReloadResponse:
        return node_pb2.ReloadResponse(changes=["log-level: info -> debug"], problems=self.reload_problems)

    def _fail_if_asked(self, context: Any) -> None:
        if self.error is not None:
            _abort(context, self.error)


@contextmanager
def served(node: FakeNode, path: Path) -> Iterator[Path]:
    """Serves the node at `path` until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    server = grpc.server(ThreadPoolExecutor(max_workers=2), interceptors=[_Noted(node)])
    add_NodeServiceServicer_to_server(node, server)
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield path
    finally:
        server.stop(None).wait()


class _Noted(grpc.ServerInterceptor):
    """Notes what a node is asked."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        self._node.asked.append(handler_call_details.method)
        return continuation(handler_call_details)


def _abort(context: Any, error: MeshError) -> NoReturn:
    context.set_trailing_metadata(((ERROR_NAME_KEY, type(error).__name__),))
    context.abort(status_of(type(error)), str(error))
    raise AssertionError("abort returned")
