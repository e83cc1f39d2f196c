"""Peers, the own description and discovery's snapshot."""

from __future__ import annotations

from wgmesh.convert.scalar import (
    endpoint_from_proto,
    endpoint_to_proto,
    endpoint_value,
    ipv4,
    ipv6,
    network,
    public_key,
    seconds,
    text,
    texts,
    timestamp,
)
from wgmesh.core.errors import InvalidInput
from wgmesh.core.model import (
    Ban,
    Candidate,
    CandidateSource,
    DiscoveryLayer,
    LayerState,
    Notice,
    Peer,
    PeerProof,
    PeersSnapshot,
    SelfDescription,
    Silence,
)
from wgmesh.v1 import discovery_service_pb2 as discovery_pb2
from wgmesh.v1 import peer_pb2

_SOURCES = {
    CandidateSource.LAN: peer_pb2.CANDIDATE_SOURCE_LAN,
    CandidateSource.OBSERVED: peer_pb2.CANDIDATE_SOURCE_OBSERVED,
    CandidateSource.ANNOUNCED: peer_pb2.CANDIDATE_SOURCE_ANNOUNCED,
    CandidateSource.SECOND_HAND: peer_pb2.CANDIDATE_SOURCE_SECOND_HAND,
    CandidateSource.STATIC: peer_pb2.CANDIDATE_SOURCE_STATIC,
    CandidateSource.CACHE: peer_pb2.CANDIDATE_SOURCE_CACHE,
}
_SOURCE_VALUES = {number: source for source, number in _SOURCES.items()}

_LAYER_STATES = {
    LayerState.RUNNING: discovery_pb2.DiscoveryLayer.STATE_RUNNING,
    LayerState.DEGRADED: discovery_pb2.DiscoveryLayer.STATE_DEGRADED,
    LayerState.DISABLED: discovery_pb2.DiscoveryLayer.STATE_DISABLED,
    LayerState.UNAVAILABLE: discovery_pb2.DiscoveryLayer.STATE_UNAVAILABLE,
}
_LAYER_STATE_VALUES = {number: state for state, number in _LAYER_STATES.items()}


def candidate_to_proto(candidate: Candidate) -> peer_pb2.Candidate:
    return peer_pb2.Candidate(
        endpoint=endpoint_to_proto(candidate.endpoint),
        source=_SOURCES[candidate.source],
        observe_time=timestamp(candidate.observed_at),
        prove_time=timestamp(candidate.proven_at),
    )


def candidate_from_proto(message: peer_pb2.Candidate) -> Candidate:
    """Raises InvalidInput."""
    source = _SOURCE_VALUES.get(message.source)
    if source is None:
        raise InvalidInput(f"a candidate's source is not known: {message.source}")
    return Candidate(
        endpoint=endpoint_value(message.endpoint),
        source=source,
        observed_at=seconds(message, "observe_time") or 0.0,
        proven_at=seconds(message, "prove_time"),
    )


def peer_to_proto(peer: Peer) -> peer_pb2.Peer:
    return peer_pb2.Peer(
        public_key=peer.public_key.raw,
        hostname=peer.hostname,
        mesh_ipv4=text(peer.mesh_ipv4),
        mesh_ipv6=text(peer.mesh_ipv6) if peer.mesh_ipv6 else "",
        candidates=[candidate_to_proto(candidate) for candidate in peer.candidates],
        discovery_methods=peer.discovery_methods,
        introducer=peer.introducer,
        routable_networks=texts(peer.routable_networks),
        nat_type=peer.nat_type,
        first_seen_time=timestamp(peer.first_seen_at),
        direct_seen_time=timestamp(peer.direct_seen_at),
        native=peer.native,
        traceparent=peer.traceparent,
        control_endpoint=endpoint_to_proto(peer.control_endpoint),
        possession_time=timestamp(peer.possession_at),
        silent_endpoint=endpoint_to_proto(peer.silence.endpoint if peer.silence else None),
        silent_time=timestamp(peer.silence.since if peer.silence else None),
    )


def peer_from_proto(message: peer_pb2.Peer) -> Peer:
    """Raises InvalidInput."""
    return Peer(
        public_key=public_key(message.public_key),
        mesh_ipv4=ipv4(message.mesh_ipv4),
        mesh_ipv6=ipv6(message.mesh_ipv6) if message.mesh_ipv6 else None,
        hostname=message.hostname,
        candidates=tuple(candidate_from_proto(candidate) for candidate in message.candidates),
        discovery_methods=tuple(message.discovery_methods),
        introducer=message.introducer,
        routable_networks=tuple(network(each) for each in message.routable_networks),
        nat_type=message.nat_type,
        first_seen_at=seconds(message, "first_seen_time") or 0.0,
        direct_seen_at=seconds(message, "direct_seen_time"),
        native=message.native,
        traceparent=message.traceparent,
        control_endpoint=endpoint_from_proto(message, "control_endpoint"),
        possession_at=seconds(message, "possession_time"),
        silence=_silence_from_proto(message),
    )


def _silence_from_proto(message: peer_pb2.Peer) -> Silence | None:
    endpoint = endpoint_from_proto(message, "silent_endpoint")
    return None if endpoint is None else Silence(endpoint, seconds(message, "silent_time") or 0.0)


def self_description_to_proto(description: SelfDescription) -> discovery_pb2.SelfDescription:
    return discovery_pb2.SelfDescription(
        public_key=description.public_key.raw,
        hostname=description.hostname,
        mesh_ipv4=str(description.mesh_ipv4),
        mesh_ipv6=str(description.mesh_ipv6),
        wireguard_port=description.wireguard_port,
        routable_networks=texts(description.routable_networks),
        introducer=description.introducer,
        nat_type=description.nat_type,
        external_endpoints=[
            message for endpoint in description.external_endpoints if (message := endpoint_to_proto(endpoint))
        ],
        mapped_exchange=endpoint_to_proto(description.mapped_exchange),
    )


def self_description_from_proto(message: discovery_pb2.SelfDescription) -> SelfDescription:
    """Raises InvalidInput."""
    return SelfDescription(
        public_key=public_key(message.public_key),
        hostname=message.hostname,
        mesh_ipv4=ipv4(message.mesh_ipv4),
        mesh_ipv6=ipv6(message.mesh_ipv6),
        wireguard_port=message.wireguard_port,
        routable_networks=tuple(network(each) for each in message.routable_networks),
        introducer=message.introducer,
        nat_type=message.nat_type,
        external_endpoints=tuple(endpoint_value(endpoint) for endpoint in message.external_endpoints),
        mapped_exchange=endpoint_from_proto(message, "mapped_exchange"),
    )


def peer_proof_to_proto(proof: PeerProof) -> discovery_pb2.PeerProof:
    return discovery_pb2.PeerProof(
        public_key=proof.public_key.raw,
        endpoint=endpoint_to_proto(proof.endpoint),
        prove_time=timestamp(proof.proven_at),
    )


def peer_proof_from_proto(message: discovery_pb2.PeerProof) -> PeerProof:
    """Raises InvalidInput."""
    return PeerProof(
        public_key=public_key(message.public_key),
        endpoint=endpoint_value(message.endpoint),
        proven_at=seconds(message, "prove_time") or 0.0,
    )


def ban_to_proto(ban: Ban) -> peer_pb2.Ban:
    return peer_pb2.Ban(public_key=ban.public_key.raw, ban_time=timestamp(ban.banned_at or None), reason=ban.reason)


def ban_from_proto(message: peer_pb2.Ban) -> Ban:
    """Raises InvalidInput."""
    return Ban(public_key(message.public_key), seconds(message, "ban_time") or 0.0, message.reason)


def layer_to_proto(layer: DiscoveryLayer) -> discovery_pb2.DiscoveryLayer:
    return discovery_pb2.DiscoveryLayer(
        name=layer.name,
        state=_LAYER_STATES[layer.state],
        detail=layer.detail,
        hear_time=timestamp(layer.heard_at),
    )


def layer_from_proto(message: discovery_pb2.DiscoveryLayer) -> DiscoveryLayer:
    """Raises InvalidInput."""
    state = _LAYER_STATE_VALUES.get(message.state)
    if state is None:
        raise InvalidInput(f"the state of layer {message.name} is not known: {message.state}")
    return DiscoveryLayer(name=message.name, state=state, detail=message.detail, heard_at=seconds(message, "hear_time"))


def peers_snapshot_to_proto(snapshot: PeersSnapshot) -> discovery_pb2.WatchPeersResponse:
    return discovery_pb2.WatchPeersResponse(
        revision=snapshot.revision,
        peers=[peer_to_proto(peer) for peer in snapshot.peers],
        layers=[layer_to_proto(layer) for layer in snapshot.layers],
        description=self_description_to_proto(snapshot.description) if snapshot.description else None,
        exchange_port=snapshot.exchange_port,
        observed_endpoints=[
            message for endpoint in snapshot.observed_endpoints if (message := endpoint_to_proto(endpoint))
        ],
        banned=[key.raw for key in snapshot.banned],
        notices=[discovery_pb2.Notice(code=notice.code, text=notice.text) for notice in snapshot.notices],
    )


def peers_snapshot_from_proto(message: discovery_pb2.WatchPeersResponse) -> PeersSnapshot:
    """Raises InvalidInput."""
    return PeersSnapshot(
        revision=message.revision,
        peers=tuple(peer_from_proto(peer) for peer in message.peers),
        layers=tuple(layer_from_proto(layer) for layer in message.layers),
        description=self_description_from_proto(message.description) if message.HasField("description") else None,
        exchange_port=message.exchange_port,
        observed_endpoints=tuple(endpoint_value(endpoint) for endpoint in message.observed_endpoints),
        banned=tuple(public_key(raw) for raw in message.banned),
        notices=tuple(Notice(notice.code, notice.text) for notice in message.notices),
    )
