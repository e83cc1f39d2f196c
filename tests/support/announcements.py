"""Hypothesis strategies for everything that an announcement can hold."""

from __future__ import annotations

import ipaddress

from hypothesis import strategies as st
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import Announcement, Extension, KnownPeer
from wgmesh.core.wire.wirefield import REVISION_LIMIT

public_keys = st.binary(min_size=32, max_size=32).map(PublicKey)
ports = st.integers(1, 65535)
hostnames = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
mesh_ipv4 = st.integers(0x0A000001, 0x0AFFFFFF).map(ipaddress.IPv4Address)
mesh_ipv6 = st.integers(0xFD << 120, (0xFE << 120) - 1).map(ipaddress.IPv6Address)
hosts = st.one_of(
    st.integers(0x01000000, 0xDFFFFFFF).map(ipaddress.IPv4Address),
    st.integers(0x2000 << 112, 0x3FFF << 112).map(ipaddress.IPv6Address),
)
endpoints = st.builds(Endpoint, hosts, ports)
host_names = st.from_regex(r"[a-z]{1,8}\.example", fullmatch=True)
advertised = st.builds(AdvertisedEndpoint, st.one_of(st.none(), hosts, host_names), ports)
networks = st.one_of(
    st.builds(
        lambda address, length: ipaddress.IPv4Network((address, length), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(0, 32),
    ),
    st.builds(
        lambda address, length: ipaddress.IPv6Network((address, length), strict=False),
        st.integers(0x2000 << 112, 0x3FFF << 112),
        st.integers(4, 128),
    ),
)
nat_types = st.sampled_from(["", "cone", "symmetric", "unknown"])
known_peers = st.builds(
    KnownPeer,
    public_keys,
    mesh_ipv4,
    st.none() | mesh_ipv6,
    hostnames,
    st.none() | advertised,
    st.booleans(),
    nat_types,
    st.none() | st.integers(0, 10**6),
)
extensions = st.builds(
    Extension,
    st.binary(min_size=8, max_size=8),
    st.integers(0, 2**63 - 1),
    st.lists(endpoints, max_size=16).map(tuple),
    st.sampled_from(["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
    st.none() | ports,
    st.integers(0, REVISION_LIMIT - 1),
    st.sampled_from([b"", bytes(range(16))]),
    st.booleans(),
)
announcements = st.builds(
    Announcement,
    public_keys,
    mesh_ipv4,
    st.none() | mesh_ipv6,
    hostnames,
    st.none() | advertised,
    st.booleans(),
    st.lists(networks, max_size=5).map(tuple),
    nat_types,
    st.lists(known_peers, max_size=5).map(tuple),
    st.none() | endpoints,
    st.none() | extensions,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
