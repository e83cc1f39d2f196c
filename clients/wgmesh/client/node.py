"""Client of the node service, the one that people and scripts use. It returns the messages as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc.aio
from wgmesh.client.channel import CALL_TIMEOUT_S, ServiceClient
from wgmesh.convert.scalar import duration
from wgmesh.v1 import endpoint_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2
from wgmesh.v1.node_service_pb2_grpc import NodeServiceStub


class NodeClient(ServiceClient):
    """Speaks to a running node on its control socket."""

    def __init__(
        self,
        socket_path: Path,
        timeout_s: float = CALL_TIMEOUT_S,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> None:
        super().__init__(socket_path, interceptors)
        self._stub = NodeServiceStub(self._channel)
        self._timeout_s = timeout_s

    async def get_status(self) -> node_pb2.GetStatusResponse:
        """Describes the node."""
        response: node_pb2.GetStatusResponse = await self._call(
            self._stub.GetStatus, node_pb2.GetStatusRequest(), self._timeout_s
        )
        return response

    async def list_peers(self) -> Sequence[node_pb2.PeerStatus]:
        """All known peers."""
        response = await self._call(self._stub.ListPeers, node_pb2.ListPeersRequest(), self._timeout_s)
        return tuple(response.peers)

    async def get_peer(self, selector: str) -> node_pb2.PeerStatus:
        """One peer by key, unique key prefix, host name or mesh address. Raises PeerNotFound."""
        response = await self._call(self._stub.GetPeer, node_pb2.GetPeerRequest(selector=selector), self._timeout_s)
        peer: node_pb2.PeerStatus = response.peer
        return peer

    def watch_peers(self) -> AsyncIterator[Sequence[node_pb2.PeerStatus]]:
        """Yields all peers now and after each change, for ever."""
        return self._watch(
            self._stub.WatchPeers, node_pb2.NodeServiceWatchPeersRequest(), lambda response: tuple(response.peers)
        )

    async def probe_peer(self, host: str, port: int, timeout_s: float) -> node_pb2.ProbePeerResponse:
        """Asks an address whether a member answers; port 0 is the mesh's exchange port. Raises NotFound."""
        request = node_pb2.ProbePeerRequest(
            endpoint=endpoint_pb2.Endpoint(host=host, port=port), timeout=duration(timeout_s)
        )
        response: node_pb2.ProbePeerResponse = await self._call(self._stub.ProbePeer, request, timeout_s + 2.0)
        return response

    async def ban_peer(self, selector: str, reason: str = "") -> node_pb2.NodeServiceBanPeerResponse:
        """Bans a peer: selected as by `get_peer`, or an unknown one by its whole key."""
        request = node_pb2.NodeServiceBanPeerRequest(selector=selector, reason=reason)
        response: node_pb2.NodeServiceBanPeerResponse = await self._call(self._stub.BanPeer, request, self._timeout_s)
        return response

    async def unban_peer(self, selector: str) -> node_pb2.NodeServiceUnbanPeerResponse:
        """Takes back the ban of a key, or of the only banned key with this beginning. Raises NotFound."""
        request = node_pb2.NodeServiceUnbanPeerRequest(selector=selector)
        response: node_pb2.NodeServiceUnbanPeerResponse = await self._call(
            self._stub.UnbanPeer, request, self._timeout_s
        )
        return response

    async def list_bans(self) -> node_pb2.NodeServiceListBansResponse:
        """All bans."""
        response: node_pb2.NodeServiceListBansResponse = await self._call(
            self._stub.ListBans, node_pb2.NodeServiceListBansRequest(), self._timeout_s
        )
        return response

    async def reload(self) -> node_pb2.ReloadResponse:
        """Applies what can be changed while running."""
        response: node_pb2.ReloadResponse = await self._call(
            self._stub.Reload, node_pb2.ReloadRequest(), self._timeout_s
        )
        return response
