"""Hypothesis strategies and short builders for WireGuard devices."""

from __future__ import annotations

import ipaddress

from hypothesis import strategies as st
from wgmesh.core.model import (
    DesiredDevice,
    DesiredPeer,
    Endpoint,
    Guard,
    IPNetwork,
    ObservedDevice,
    ObservedPeer,
    PresharedKey,
    PublicKey,
)
from wgmesh.core.settings import EVERYTHING
from wgmesh.wireguard.guard import names
from wgmesh.wireguard.limits import Limits

MESH = (ipaddress.ip_interface("10.77.0.1/16"), ipaddress.ip_interface("fd5a::1/64"))
LIMITS = Limits(tuple(address.network for address in MESH), EVERYTHING, listen_port=51820, mtu=1420)


def key(number: int) -> PublicKey:
    """Keys order like their numbers below 64: the number is the first base64 digit."""
    return PublicKey(bytes([number << 2 & 0xFF]) + bytes(29) + number.to_bytes(2, "big"))


def psk(number: int) -> PresharedKey:
    return PresharedKey(bytes([number]) * 32)


def nets(*texts: str) -> frozenset[IPNetwork]:
    return frozenset(map(ipaddress.ip_network, texts))


def desired_peer(number: int, *routes: str, endpoint: str | None = None) -> DesiredPeer:
    return DesiredPeer(
        key(number),
        psk(1),
        nets(f"10.77.1.{number}/32"),
        nets(*routes),
        Endpoint.parse(endpoint) if endpoint else None,
        25,
    )


def desired_device(*peers: DesiredPeer, listen_port: int = 51820, reserved: tuple[int, ...] = ()) -> DesiredDevice:
    return DesiredDevice(MESH, listen_port, 1420, frozenset(reserved), peers)


# Few of everything, so that peers meet in the same networks and steal from each other.
keys = st.integers(1, 5).map(key)
networks = st.sampled_from(
    sorted(
        nets("10.77.1.1/32", "10.77.1.2/32", "fd5a::2/128", "192.168.1.0/24", "192.168.1.128/25", "fd99::/64"), key=str
    )
)
endpoints = st.sampled_from([Endpoint.parse("192.0.2.1:51820"), Endpoint.parse("[2001:db8::1]:51821")])
interfaces = st.sampled_from([*MESH, ipaddress.ip_interface("10.78.0.1/16"), ipaddress.ip_interface("fd5b::1/64")])
guards = st.builds(
    Guard,
    st.sampled_from([(), LIMITS.mesh]),
    st.sampled_from([(), (ipaddress.ip_network("10.77.5.0/24"),)]),
    st.just(tuple(address.ip for address in MESH)),
)
handshakes = st.none() | st.floats(0, 1000)

desired_peers = st.builds(
    DesiredPeer,
    keys,
    st.integers(1, 2).map(psk),
    st.frozensets(networks),
    st.frozensets(networks),
    st.none() | endpoints,
    st.sampled_from([0, 25]),
)
desired_devices = st.builds(
    DesiredDevice,
    st.lists(interfaces, unique=True, max_size=3).map(tuple),
    st.sampled_from([0, 51820, 51821]),
    st.sampled_from([1280, 1420]),
    st.just(frozenset()),
    st.lists(desired_peers, unique_by=lambda peer: peer.public_key, max_size=5).map(tuple),
    st.frozensets(networks),
    guards,
)


@st.composite
def observed_devices(draw: st.DrawFn) -> ObservedDevice:
    """A device as the kernel may show it: no network belongs to two peers, and no route without the link being up."""
    free = set(draw(st.frozensets(networks)))
    peers = []
    for peer_key in draw(st.lists(keys, unique=True, max_size=5)):
        own = frozenset(network for network in sorted(free, key=str) if draw(st.booleans()))
        free -= own
        peers.append(
            ObservedPeer(
                peer_key,
                draw(st.none() | endpoints),
                own,
                draw(st.sampled_from([0, 25])),
                draw(handshakes),
                preshared_key=draw(st.none() | st.integers(1, 2).map(psk)),
            )
        )
    up = draw(st.booleans())
    return ObservedDevice(
        name="wg0",
        backend="fake",
        listen_port=draw(st.sampled_from([51820, 51821, 40000])) if up else 0,
        addresses=tuple(draw(st.lists(interfaces, unique=True, max_size=3))),
        mtu=draw(st.sampled_from([1280, 1420])),
        peers=tuple(peers),
        routes=draw(st.frozensets(networks)) if up else frozenset(),
        up=up,
        mesh_routes=draw(st.frozensets(networks)) if up else frozenset(),
        guard=names(draw(guards)),
    )
