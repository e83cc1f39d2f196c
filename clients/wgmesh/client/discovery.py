"""Client of the discovery service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from wgmesh.client.channel import ServiceClient
from wgmesh.convert.peer import (
    ban_from_proto,
    peer_proof_to_proto,
    peers_snapshot_from_proto,
    self_description_to_proto,
)
from wgmesh.convert.scalar import duration, endpoint_from_proto, endpoint_to_proto, ipv4, public_key, seconds
from wgmesh.core.model import Ban, Endpoint, IPAddress, PeerProof, PeersSnapshot, PublicKey, SelfDescription
from wgmesh.v1 import discovery_service_pb2 as discovery_pb2
from wgmesh.v1.discovery_service_pb2_grpc import DiscoveryServiceStub


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What answered at a probed address."""

    public_key: PublicKey
    hostname: str
    mesh_ipv4: IPAddress
    rtt_s: float
    observed_endpoint: Endpoint | None


class DiscoveryClient(ServiceClient):
    """Speaks to the discovery service on its socket."""

    def __init__(self, socket_path: Path, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()) -> None:
        super().__init__(socket_path, interceptors)
        self._stub = DiscoveryServiceStub(self._channel)

    async def set_self(
        self, description: SelfDescription, proofs: Sequence[PeerProof] = (), lost: Iterable[PublicKey] = ()
    ) -> None:
        """Sets what this node announces, what is proven of its peers, and whose tunnels do not answer any more."""
        request = discovery_pb2.SetSelfRequest(
            description=self_description_to_proto(description),
            proofs=[peer_proof_to_proto(proof) for proof in proofs],
            lost=sorted(key.raw for key in lost),
        )
        await self._call(self._stub.SetSelf, request)

    def watch_peers(self) -> AsyncIterator[PeersSnapshot]:
        """Yields the peer table now and after each change. It never ends."""
        return self._watch(self._stub.WatchPeers, discovery_pb2.WatchPeersRequest(), peers_snapshot_from_proto)

    async def probe_address(self, endpoint: Endpoint, timeout_s: float) -> ProbeResult:
        """Asks one address whether a member answers there. Raises NotFound if nobody does in time."""
        request = discovery_pb2.ProbeAddressRequest(endpoint=endpoint_to_proto(endpoint), timeout=duration(timeout_s))
        response = await self._call(self._stub.ProbeAddress, request, timeout_s + 1.0)
        return ProbeResult(
            public_key=public_key(response.public_key),
            hostname=response.hostname,
            mesh_ipv4=ipv4(response.mesh_ipv4),
            rtt_s=seconds(response, "round_trip_time") or 0.0,
            observed_endpoint=endpoint_from_proto(response, "observed_endpoint"),
        )

    async def ban_peer(self, key: PublicKey, reason: str = "") -> None:
        """Bans a peer, known or not. Raises InvalidInput for the own key, PermissionDenied if it cannot be stored."""
        await self._call(self._stub.BanPeer, discovery_pb2.BanPeerRequest(public_key=key.raw, reason=reason))

    async def unban_peer(self, key: PublicKey) -> None:
        """Takes a ban back. Raises NotFound if there is none."""
        await self._call(self._stub.UnbanPeer, discovery_pb2.UnbanPeerRequest(public_key=key.raw))

    async def list_bans(self) -> tuple[tuple[Ban, ...], int]:
        """All bans, the oldest first, and how many entries of the file ban nobody because they name no key."""
        response = await self._call(self._stub.ListBans, discovery_pb2.ListBansRequest())
        return tuple(ban_from_proto(ban) for ban in response.bans), response.unread_count
