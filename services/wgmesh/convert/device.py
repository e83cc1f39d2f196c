"""The device, desired and observed. A preshared key travels towards the wireguard process and never back."""

from __future__ import annotations

from wgmesh.convert.scalar import (
    endpoint_from_proto,
    endpoint_to_proto,
    interface_address,
    ipv4,
    ipv6,
    network,
    pair_key,
    preshared_key,
    public_key,
    seconds,
    text,
    texts,
    timestamp,
)
from wgmesh.core.keys.possession import Agreement
from wgmesh.core.model import (
    ApplyOutcome,
    DesiredDevice,
    DesiredPeer,
    DeviceSnapshot,
    Identity,
    ObservedDevice,
    ObservedPeer,
    Overlap,
    PeerFailure,
    RefusedRoute,
)
from wgmesh.v1 import device_pb2
from wgmesh.v1 import wireguard_service_pb2 as wireguard_pb2


def desired_peer_to_proto(peer: DesiredPeer) -> device_pb2.DesiredPeer:
    return device_pb2.DesiredPeer(
        public_key=peer.public_key.raw,
        preshared_key=peer.preshared_key.reveal(),
        endpoint=endpoint_to_proto(peer.endpoint),
        allowed_ips=texts(peer.allowed_ips),
        routable_networks=texts(peer.routable_networks),
        persistent_keepalive_seconds=peer.persistent_keepalive_s,
        only_if_connected=peer.only_if_connected,
        dead_endpoint=endpoint_to_proto(peer.dead_endpoint),
    )


def desired_peer_from_proto(message: device_pb2.DesiredPeer) -> DesiredPeer:
    """Raises InvalidInput."""
    return DesiredPeer(
        public_key=public_key(message.public_key),
        preshared_key=preshared_key(message.preshared_key),
        endpoint=endpoint_from_proto(message, "endpoint"),
        allowed_ips=frozenset(network(each) for each in message.allowed_ips),
        routable_networks=frozenset(network(each) for each in message.routable_networks),
        persistent_keepalive_s=message.persistent_keepalive_seconds,
        only_if_connected=message.only_if_connected,
        dead_endpoint=endpoint_from_proto(message, "dead_endpoint"),
    )


def desired_device_to_proto(device: DesiredDevice) -> device_pb2.DesiredDevice:
    return device_pb2.DesiredDevice(
        addresses=[text(address) for address in device.addresses],
        listen_port=device.listen_port,
        reserved_ports=sorted(device.reserved_ports),
        mtu=device.mtu,
        peers=[desired_peer_to_proto(peer) for peer in device.peers],
    )


def desired_device_from_proto(message: device_pb2.DesiredDevice) -> DesiredDevice:
    """Raises InvalidInput."""
    return DesiredDevice(
        addresses=tuple(interface_address(each) for each in message.addresses),
        listen_port=message.listen_port,
        reserved_ports=frozenset(message.reserved_ports),
        mtu=message.mtu,
        peers=tuple(desired_peer_from_proto(peer) for peer in message.peers),
    )


def observed_peer_to_proto(peer: ObservedPeer) -> device_pb2.ObservedPeer:
    return device_pb2.ObservedPeer(
        public_key=peer.public_key.raw,
        endpoint=endpoint_to_proto(peer.endpoint),
        allowed_ips=texts(peer.allowed_ips),
        persistent_keepalive_seconds=peer.persistent_keepalive_s,
        handshake_time=timestamp(peer.handshake_at),
        rx_bytes=peer.rx_bytes,
        tx_bytes=peer.tx_bytes,
        unanswered_time=timestamp(peer.unanswered_since),
    )


def observed_peer_from_proto(message: device_pb2.ObservedPeer) -> ObservedPeer:
    """Raises InvalidInput."""
    return ObservedPeer(
        public_key=public_key(message.public_key),
        endpoint=endpoint_from_proto(message, "endpoint"),
        allowed_ips=frozenset(network(each) for each in message.allowed_ips),
        persistent_keepalive_s=message.persistent_keepalive_seconds,
        handshake_at=seconds(message, "handshake_time"),
        rx_bytes=message.rx_bytes,
        tx_bytes=message.tx_bytes,
        unanswered_since=seconds(message, "unanswered_time"),
    )


def observed_device_to_proto(device: ObservedDevice | None) -> device_pb2.ObservedDevice | None:
    if device is None:
        return None
    return device_pb2.ObservedDevice(
        name=device.name,
        backend=device.backend,
        listen_port=device.listen_port,
        addresses=[text(address) for address in device.addresses],
        mtu=device.mtu,
        peers=[observed_peer_to_proto(peer) for peer in device.peers],
        routes=texts(device.routes),
        up=device.up,
        mesh_routes=texts(device.mesh_routes),
        overlaps=[
            device_pb2.Overlap(network=str(each.network), what=each.what, is_warning=each.is_warning)
            for each in device.overlaps
        ],
        guard=device.guard,
        guard_problem=device.guard_problem,
    )


def observed_device_from_proto(message: device_pb2.ObservedDevice) -> ObservedDevice:
    """Raises InvalidInput."""
    return ObservedDevice(
        name=message.name,
        backend=message.backend,
        listen_port=message.listen_port,
        addresses=tuple(interface_address(each) for each in message.addresses),
        mtu=message.mtu,
        peers=tuple(observed_peer_from_proto(peer) for peer in message.peers),
        routes=frozenset(network(each) for each in message.routes),
        up=message.up,
        mesh_routes=frozenset(network(each) for each in message.mesh_routes),
        overlaps=tuple(Overlap(network(each.network), each.what, each.is_warning) for each in message.overlaps),
        guard=tuple(message.guard),
        guard_problem=message.guard_problem,
    )


def identity_to_proto(identity: Identity) -> device_pb2.Identity:
    return device_pb2.Identity(
        public_key=identity.public_key.raw,
        mesh_ipv4=str(identity.mesh_ipv4 or ""),
        mesh_ipv6=str(identity.mesh_ipv6 or ""),
    )


def identity_from_proto(message: device_pb2.Identity) -> Identity:
    """Raises InvalidInput."""
    return Identity(
        public_key=public_key(message.public_key),
        mesh_ipv4=ipv4(message.mesh_ipv4) if message.mesh_ipv4 else None,
        mesh_ipv6=ipv6(message.mesh_ipv6) if message.mesh_ipv6 else None,
    )


def device_snapshot_to_proto(snapshot: DeviceSnapshot) -> wireguard_pb2.WatchDeviceResponse:
    return wireguard_pb2.WatchDeviceResponse(
        revision=snapshot.revision,
        identity=identity_to_proto(snapshot.identity),
        device=observed_device_to_proto(snapshot.device),
        problems=snapshot.problems,
        refused_routes=[refused_route_to_proto(route) for route in snapshot.refused_routes],
        peer_failures=[peer_failure_to_proto(failure) for failure in snapshot.peer_failures],
        observe_time=timestamp(snapshot.observed_at),
    )


def device_snapshot_from_proto(message: wireguard_pb2.WatchDeviceResponse) -> DeviceSnapshot:
    """Raises InvalidInput."""
    return DeviceSnapshot(
        revision=message.revision,
        identity=identity_from_proto(message.identity),
        device=observed_device_from_proto(message.device) if message.HasField("device") else None,
        problems=tuple(message.problems),
        refused_routes=tuple(refused_route_from_proto(route) for route in message.refused_routes),
        peer_failures=tuple(peer_failure_from_proto(failure) for failure in message.peer_failures),
        observed_at=seconds(message, "observe_time"),
    )


def refused_route_to_proto(route: RefusedRoute) -> device_pb2.RefusedRoute:
    return device_pb2.RefusedRoute(network=str(route.network), public_key=route.public_key.raw, reason=route.reason)


def refused_route_from_proto(message: device_pb2.RefusedRoute) -> RefusedRoute:
    """Raises InvalidInput."""
    return RefusedRoute(
        network=network(message.network), public_key=public_key(message.public_key), reason=message.reason
    )


def peer_failure_to_proto(failure: PeerFailure) -> device_pb2.PeerFailure:
    return device_pb2.PeerFailure(public_key=failure.public_key.raw, reason=failure.reason)


def peer_failure_from_proto(message: device_pb2.PeerFailure) -> PeerFailure:
    """Raises InvalidInput."""
    return PeerFailure(public_key(message.public_key), message.reason)


def apply_outcome_to_proto(outcome: ApplyOutcome) -> wireguard_pb2.ApplyDeviceResponse:
    return wireguard_pb2.ApplyDeviceResponse(
        actions=outcome.actions,
        refused_routes=[refused_route_to_proto(route) for route in outcome.refused_routes],
        peer_failures=[peer_failure_to_proto(failure) for failure in outcome.peer_failures],
        device=observed_device_to_proto(outcome.device),
        problems=outcome.problems,
    )


def apply_outcome_from_proto(message: wireguard_pb2.ApplyDeviceResponse) -> ApplyOutcome:
    """Raises InvalidInput."""
    return ApplyOutcome(
        actions=tuple(message.actions),
        refused_routes=tuple(refused_route_from_proto(route) for route in message.refused_routes),
        peer_failures=tuple(peer_failure_from_proto(failure) for failure in message.peer_failures),
        device=observed_device_from_proto(message.device) if message.HasField("device") else None,
        problems=tuple(message.problems),
    )


def agreement_from_proto(message: wireguard_pb2.PairKeyAgreement) -> Agreement:
    """Raises InvalidInput."""
    return Agreement(
        public_key=public_key(message.public_key),
        pair_key=pair_key(message.pair_key) if message.pair_key else None,
        reason=message.reason,
    )
