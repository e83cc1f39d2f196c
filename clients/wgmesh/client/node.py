"""Client of the node service, the one that people and scripts use. It returns the messages as they are.

Unlike the other clients it needs no event loop: a command makes one call, or watches until the node stops, and the
answer is there 5 to 10 ms sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from wgmesh.client.errors import error_from_rpc
from wgmesh.v1 import endpoint_pb2
from wgmesh.v1 import nat_service_pb2 as nat_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2
from wgmesh.v1.node_service_pb2_grpc import NodeServiceStub

Response = TypeVar("Response")

DEFAULT_TIMEOUT_S = 5.0  # a local call takes milliseconds; five seconds means that the node is stuck
CHECK_S = 5.0  # what a check takes at most, beside the wait for the node itself
PROBE_GRACE_S = 2.0  # the node's own wait ends first, so that its reason arrives instead of ours
MESSAGE_BYTES_MAX = 16 * 1024 * 1024  # 1,000 peers with 16 candidates each stay below 2 MB

_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.enable_http_proxy", 0),  # a proxy variable in the environment must not catch a unix socket
]


class NodeClient:
    """Calls the node service. Use it as a context manager. All methods raise the error that the node raised."""

    def __init__(self, socket_path: Path, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket_path}", options=_OPTIONS)
        self._stub = NodeServiceStub(self._channel)
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def get_status(self) -> node_pb2.GetStatusResponse:
        return self._call(self._stub.GetStatus, node_pb2.GetStatusRequest(), self._timeout_s)

    def list_peers(self) -> Sequence[node_pb2.PeerStatus]:
        return self.look_at_peers().peers

    def look_at_peers(self) -> node_pb2.ListPeersResponse:
        """All peers, and whether the node can look after them."""
        return self._call(self._stub.ListPeers, node_pb2.ListPeersRequest(), self._timeout_s)

    def get_peer(self, selector: str) -> node_pb2.GetPeerResponse:
        """Takes a key, a unique prefix of one, a host name or a mesh address. Raises PeerNotFound."""
        return self._call(self._stub.GetPeer, node_pb2.GetPeerRequest(selector=selector), self._timeout_s)

    def watch_peers(self) -> Iterator[node_pb2.NodeServiceWatchPeersResponse]:
        """Yields all peers at once and after each change, until the node stops."""
        try:
            yield from self._stub.WatchPeers(node_pb2.NodeServiceWatchPeersRequest())
        except grpc.RpcError as failure:
            raise _mesh_error(failure) from None

    def plan_turn(self) -> node_pb2.PlanTurnResponse:
        return self._call(self._stub.PlanTurn, node_pb2.PlanTurnRequest(), self._timeout_s)

    def probe_peer(self, host: str, port: int, timeout_s: float) -> node_pb2.ProbePeerResponse:
        """Makes the node ask an address; port 0 is the mesh's exchange port."""
        endpoint = endpoint_pb2.Endpoint(host=host, port=port)
        request = node_pb2.ProbePeerRequest(endpoint=endpoint, timeout=_duration(timeout_s))
        return self._call(self._stub.ProbePeer, request, timeout_s + PROBE_GRACE_S)

    def ping_peer(self, selector: str, timeout_s: float) -> node_pb2.NodeServicePingPeerResponse:
        """Makes the node ask a peer through the tunnel. Takes what get_peer takes. Raises PeerNotFound, NotReady."""
        request = node_pb2.NodeServicePingPeerRequest(selector=selector, timeout=_duration(timeout_s))
        return self._call(self._stub.PingPeer, request, timeout_s + PROBE_GRACE_S)

    def check_network(self) -> Iterator[nat_pb2.NetworkFinding]:
        """Makes the node check its network, and yields what it finds. Raises NotSupported, NotReady, Busy."""
        request = node_pb2.NodeServiceCheckNetworkRequest()
        try:
            for response in self._stub.CheckNetwork(request, timeout=self._timeout_s + CHECK_S):
                yield response.finding
        except grpc.RpcError as failure:
            raise _mesh_error(failure) from None

    def stop(self) -> int:
        """Asks the node to stop, which goes on after the answer. Returns the pid of the process that ends last."""
        return self._call(self._stub.Stop, node_pb2.StopRequest(), self._timeout_s).pid

    def ban_peer(self, selector: str, reason: str) -> node_pb2.NodeServiceBanPeerResponse:
        """Takes what get_peer takes, and the whole key of an unknown peer. Raises PeerNotFound, InvalidInput."""
        request = node_pb2.NodeServiceBanPeerRequest(selector=selector, reason=reason)
        return self._call(self._stub.BanPeer, request, self._timeout_s)

    def unban_peer(self, selector: str) -> node_pb2.NodeServiceUnbanPeerResponse:
        """Takes the key of a ban or a unique beginning of it. Raises NotFound."""
        request = node_pb2.NodeServiceUnbanPeerRequest(selector=selector)
        return self._call(self._stub.UnbanPeer, request, self._timeout_s)

    def list_bans(self) -> node_pb2.NodeServiceListBansResponse:
        return self._call(self._stub.ListBans, node_pb2.NodeServiceListBansRequest(), self._timeout_s)

    def reload(self) -> node_pb2.ReloadResponse:
        return self._call(self._stub.Reload, node_pb2.ReloadRequest(), self._timeout_s)

    def _call(self, method: Callable[..., Response], request: Message, timeout_s: float) -> Response:
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as failure:
            raise _mesh_error(failure) from None


def _duration(span_s: float) -> Duration:
    return Duration(nanos=round(span_s % 1 * 1e9), seconds=int(span_s))


def _mesh_error(failure: grpc.RpcError) -> Exception:
    # The synchronous failure has the same code, details and trailing metadata as the asynchronous one.
    return error_from_rpc(cast(grpc.aio.AioRpcError, failure), "the node")
