"""What one process says is what the other hears."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wgmesh.convert import device as device_messages
from wgmesh.convert import nat as nat_messages
from wgmesh.convert import peer as peer_messages
from wgmesh.convert import plan as plan_messages
from wgmesh.convert.scalar import endpoint_value, public_key
from wgmesh.core.device_plan import ActionKind, DevicePlan, PlannedAction
from wgmesh.core.errors import InvalidInput
from wgmesh.core.model import (
    ApplyOutcome,
    Ban,
    Candidate,
    CandidateSource,
    DesiredDevice,
    DesiredPeer,
    DeviceSnapshot,
    DiscoveryLayer,
    Endpoint,
    Identity,
    LayerState,
    Mapping,
    NatReport,
    ObservedDevice,
    ObservedPeer,
    Overlap,
    Path,
    PathsSnapshot,
    Peer,
    PeerFailure,
    PeerProof,
    PeersSnapshot,
    PortMapping,
    PresharedKey,
    PublicKey,
    RefusedRoute,
    SelfDescription,
    Sighting,
    Silence,
)
from wgmesh.v1 import device_pb2, endpoint_pb2

EXAMPLES = 25  # the values are large and their fields independent: more examples find nothing more

keys = st.binary(min_size=32, max_size=32).map(PublicKey)
secrets = st.binary(min_size=32, max_size=32).map(PresharedKey)
ports = st.integers(1, 65535)
ipv4s = st.ip_addresses(v=4)
ipv6s = st.ip_addresses(v=6)
endpoints = st.builds(
    Endpoint, st.ip_addresses().filter(lambda address: getattr(address, "ipv4_mapped", None) is None), ports
)
times = st.integers(0, 4_000_000_000_000_000).map(lambda microseconds: microseconds / 1_000_000)
texts = st.text(max_size=20)
networks = st.builds(
    lambda address, bits: ipaddress.ip_network((address, min(bits, address.max_prefixlen)), strict=False),
    st.ip_addresses(),
    st.integers(0, 128),
)
interfaces = st.builds(
    lambda address, bits: ipaddress.ip_interface((address, min(bits, address.max_prefixlen))),
    st.ip_addresses(),
    st.integers(0, 128),
)
candidates = st.builds(Candidate, endpoints, st.sampled_from(CandidateSource), times, st.none() | times)
sorted_networks = st.frozensets(networks, max_size=3).map(lambda found: tuple(sorted(found, key=str)))
peers = st.builds(
    Peer,
    public_key=keys,
    mesh_ipv4=ipv4s,
    mesh_ipv6=st.none() | ipv6s,
    hostname=texts,
    candidates=st.lists(candidates, max_size=3).map(tuple),
    discovery_methods=st.lists(texts, max_size=3).map(tuple),
    introducer=st.booleans(),
    routable_networks=sorted_networks,
    nat_type=texts,
    first_seen_at=times,
    direct_seen_at=st.none() | times,
    native=st.booleans(),
    traceparent=texts,
    control_endpoint=st.none() | endpoints,
    possession_at=st.none() | times,
    silence=st.none() | st.builds(Silence, endpoints, times),
)
descriptions = st.builds(
    SelfDescription,
    public_key=keys,
    mesh_ipv4=ipv4s,
    mesh_ipv6=ipv6s,
    wireguard_port=ports,
    hostname=texts,
    routable_networks=sorted_networks,
    introducer=st.booleans(),
    nat_type=texts,
    external_endpoints=st.lists(endpoints, max_size=3).map(tuple),
    mapped_exchange=st.none() | endpoints,
)
layers = st.builds(DiscoveryLayer, texts, st.sampled_from(LayerState), texts, st.none() | times)
observed_peers = st.builds(
    ObservedPeer,
    public_key=keys,
    endpoint=st.none() | endpoints,
    allowed_ips=st.frozensets(networks, max_size=3),
    persistent_keepalive_s=st.integers(0, 65535),
    handshake_at=st.none() | times,
    rx_bytes=st.integers(0, 2**62),
    tx_bytes=st.integers(0, 2**62),
)
devices = st.builds(
    ObservedDevice,
    name=texts,
    backend=texts,
    listen_port=ports,
    addresses=st.lists(interfaces, max_size=3).map(tuple),
    mtu=st.integers(0, 9000),
    peers=st.lists(observed_peers, max_size=3).map(tuple),
    routes=st.frozensets(networks, max_size=3),
    mesh_routes=st.frozensets(networks, max_size=3),
    overlaps=st.lists(st.builds(Overlap, networks, texts, st.booleans()), max_size=3).map(tuple),
    guard=st.lists(texts, max_size=3).map(tuple),
    guard_problem=texts,
)
refusals = st.builds(RefusedRoute, networks, keys, texts)


@settings(max_examples=EXAMPLES)
@given(
    st.builds(
        PeersSnapshot,
        revision=st.integers(0, 2**62),
        peers=st.lists(peers, max_size=2).map(tuple),
        layers=st.lists(layers, max_size=2).map(tuple),
        description=st.none() | descriptions,
        exchange_port=ports,
        observed_endpoints=st.lists(endpoints, max_size=2).map(tuple),
        banned=st.lists(keys, max_size=3).map(tuple),
    )
)
def test_a_peers_snapshot_arrives_whole(snapshot: PeersSnapshot) -> None:
    assert peer_messages.peers_snapshot_from_proto(peer_messages.peers_snapshot_to_proto(snapshot)) == snapshot


@settings(max_examples=EXAMPLES)
@given(st.builds(PeerProof, keys, endpoints, times))
def test_a_proof_arrives_whole(proof: PeerProof) -> None:
    assert peer_messages.peer_proof_from_proto(peer_messages.peer_proof_to_proto(proof)) == proof


@settings(max_examples=EXAMPLES)
@given(st.builds(Ban, keys, times, texts))
def test_a_ban_arrives_whole(ban: Ban) -> None:
    assert peer_messages.ban_from_proto(peer_messages.ban_to_proto(ban)) == ban


@settings(max_examples=EXAMPLES)
@given(
    st.builds(
        PathsSnapshot,
        revision=st.integers(0, 2**62),
        paths=st.lists(
            st.builds(Path, keys, st.none() | times, st.none() | times, st.integers(0, 1000)), max_size=3
        ).map(tuple),
        report=st.builds(
            NatReport,
            st.booleans(),
            st.sampled_from(Mapping),
            st.none() | endpoints,
            st.booleans(),
            st.none() | times,
            texts,
            st.lists(
                st.builds(Sighting, endpoints, st.lists(endpoints, max_size=2).map(tuple), st.integers(0, 16)),
                max_size=3,
            ).map(tuple),
            st.builds(
                PortMapping,
                st.booleans(),
                texts,
                st.none() | endpoints,
                st.none() | endpoints,
                st.booleans(),
                st.none() | times,
                texts,
            ),
        ),
    )
)
def test_a_paths_snapshot_arrives_whole(snapshot: PathsSnapshot) -> None:
    assert nat_messages.paths_snapshot_from_proto(nat_messages.paths_snapshot_to_proto(snapshot)) == snapshot


@settings(max_examples=EXAMPLES)
@given(
    st.builds(
        DesiredDevice,
        addresses=st.lists(interfaces, max_size=3).map(tuple),
        listen_port=ports,
        mtu=st.integers(0, 9000),
        reserved_ports=st.frozensets(ports, max_size=3),
        peers=st.lists(
            st.builds(
                DesiredPeer,
                public_key=keys,
                preshared_key=secrets,
                allowed_ips=st.frozensets(networks, max_size=3),
                routable_networks=st.frozensets(networks, max_size=3),
                endpoint=st.none() | endpoints,
                persistent_keepalive_s=st.integers(0, 65535),
            ),
            max_size=2,
        ).map(tuple),
    )
)
def test_a_desired_device_arrives_whole(device: DesiredDevice) -> None:
    assert device_messages.desired_device_from_proto(device_messages.desired_device_to_proto(device)) == device


@settings(max_examples=EXAMPLES)
@given(
    st.builds(
        DeviceSnapshot,
        st.integers(0, 2**62),
        st.builds(Identity, keys, st.none() | ipv4s, st.none() | ipv6s),
        st.none() | devices,
    )
)
def test_a_device_snapshot_arrives_whole(snapshot: DeviceSnapshot) -> None:
    assert device_messages.device_snapshot_from_proto(device_messages.device_snapshot_to_proto(snapshot)) == snapshot


@settings(max_examples=EXAMPLES)
@given(
    st.builds(
        ApplyOutcome,
        st.lists(texts, max_size=3).map(tuple),
        st.lists(refusals, max_size=2).map(tuple),
        st.lists(st.builds(PeerFailure, keys, texts), max_size=2).map(tuple),
        st.none() | devices,
    )
)
def test_an_outcome_arrives_whole(outcome: ApplyOutcome) -> None:
    assert device_messages.apply_outcome_from_proto(device_messages.apply_outcome_to_proto(outcome)) == outcome


@settings(max_examples=EXAMPLES)
@given(
    st.builds(
        DevicePlan,
        st.lists(
            st.builds(
                PlannedAction,
                st.sampled_from(ActionKind),
                texts,
                texts,
                st.none() | keys,
                texts,
                st.none() | networks,
            ),
            max_size=3,
        ).map(tuple),
        st.lists(refusals, max_size=2).map(tuple),
        st.lists(st.builds(PeerFailure, keys, texts), max_size=2).map(tuple),
        st.none() | devices,
    )
)
def test_a_plan_arrives_whole(plan: DevicePlan) -> None:
    assert plan_messages.device_plan_from_proto(plan_messages.device_plan_to_proto(plan)) == plan


def test_an_action_of_no_known_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="kind"):
        plan_messages.planned_action_from_proto(device_pb2.PlannedAction(what="dance", why="It is Friday."))


@settings(max_examples=EXAMPLES)
@given(observed_peers, secrets)
def test_a_preshared_key_never_travels_back(peer: ObservedPeer, secret: PresharedKey) -> None:
    message = device_messages.observed_peer_to_proto(replace(peer, preshared_key=secret))

    assert device_messages.observed_peer_from_proto(message).preshared_key is None


@pytest.mark.parametrize("raw", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_another_length_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="32 bytes"):
        public_key(raw)


@pytest.mark.parametrize(("host", "port"), [("", 1), ("example.org", 1), ("192.0.2.1", 0), ("192.0.2.1", 65536)])
def test_an_endpoint_that_is_none_is_refused(host: str, port: int) -> None:
    with pytest.raises(InvalidInput):
        endpoint_value(endpoint_pb2.Endpoint(host=host, port=port))
