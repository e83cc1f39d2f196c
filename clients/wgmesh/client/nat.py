"""Client of the nat service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path

import grpc.aio
from wgmesh.client.channel import ServiceClient
from wgmesh.convert.nat import paths_snapshot_from_proto
from wgmesh.convert.scalar import duration
from wgmesh.core.model import PathsSnapshot, PublicKey
from wgmesh.v1 import nat_service_pb2 as nat_pb2
from wgmesh.v1.nat_service_pb2_grpc import NatServiceStub

CHECK_TIMEOUT_S = 8.0  # the check ends after five seconds, on a busy machine a little later
PING_GRACE_S = 1.0  # the wait of the nat process ends first, so that its answer arrives instead of ours


class NatClient(ServiceClient):
    """Speaks to the nat service on its socket."""

    def __init__(self, socket_path: Path, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()) -> None:
        super().__init__(socket_path, interceptors)
        self._stub = NatServiceStub(self._channel)

    def watch_paths(self) -> AsyncIterator[PathsSnapshot]:
        """Yields the paths now and after each change. It never ends."""
        return self._watch(self._stub.WatchPaths, nat_pb2.WatchPathsRequest(), paths_snapshot_from_proto)

    async def ping_peer(self, key: PublicKey, address: str, timeout_s: float) -> nat_pb2.PingPeerResponse:
        """Asks a peer through the tunnel; `address` is empty for the best one. Raises NotFound, NotReady."""
        request = nat_pb2.PingPeerRequest(public_key=key.raw, address=address, timeout=duration(timeout_s))
        answer: nat_pb2.PingPeerResponse = await self._call(self._stub.PingPeer, request, timeout_s + PING_GRACE_S)
        return answer

    def check_network(self) -> AsyncGenerator[nat_pb2.NetworkFinding, None]:
        """Yields the findings of one check. Raises NotSupported, NotReady, Busy."""
        request = nat_pb2.CheckNetworkRequest()
        return self._stream(self._stub.CheckNetwork, request, lambda response: response.finding, CHECK_TIMEOUT_S)
