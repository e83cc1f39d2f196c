"""The content of `<iface>-peers.json`: whom to call first after a restart (protocol notes, section 19).

The cache is a hint. Whatever is wrong with it, the answer is the entries that are good, perhaps none.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import IPNetwork, PublicKey
from wgmesh.core.wire.advertised import AdvertisedEndpoint, parse_advertised_endpoint
from wgmesh.core.wire.jsonstrict import Members, parse_json
from wgmesh.core.wire.wirefield import (
    MAX_KNOWN_PEERS,
    MAX_ROUTABLE_NETWORKS,
    parse_hostname,
    parse_mesh_ipv4,
    parse_mesh_ipv6,
    parse_nat_type,
    parse_network,
    parse_public_key,
    wire_hostname,
)

MAX_FILE_BYTES = 8 * 1024 * 1024  # the largest valid entries, 1000 times, with room


@dataclass(frozen=True, slots=True)
class CachedPeer:
    """One remembered peer. `last_seen` is in Unix seconds.

    `possession_at` is our addition, which upstream ignores: when the peer last proved to hold its private key.
    """

    public_key: PublicKey
    mesh_ipv4: ipaddress.IPv4Address
    last_seen: int
    mesh_ipv6: ipaddress.IPv6Address | None = None
    hostname: str = ""
    endpoint: AdvertisedEndpoint | None = None
    introducer: bool = False
    routable_networks: tuple[IPNetwork, ...] = ()
    nat_type: str = ""
    possession_at: int | None = None


@dataclass(frozen=True, slots=True)
class DecodedCache:
    """The entries that are good, and why others were left out."""

    peers: tuple[CachedPeer, ...] = ()
    dropped: tuple[str, ...] = ()


def encode_peer_cache(peers: Iterable[CachedPeer], updated_at: int) -> bytes:
    """Returns the file's bytes, in upstream's form. `updated_at` is in Unix seconds."""
    entries = [_encode(peer) for peer in peers]
    return json.dumps({"peers": entries or None, "updated_at": updated_at}, indent=2).encode("ascii")


def decode_peer_cache(data: bytes) -> DecodedCache:
    """Reads the file's bytes. Never raises because of them; a key that comes again is dropped."""
    try:
        items = Members(parse_json(data, MAX_FILE_BYTES)).items("peers")
    except MalformedMessage as error:
        return DecodedCache(dropped=(f"file: {error}",))
    peers: dict[PublicKey, CachedPeer] = {}
    dropped: list[str] = []
    for item in items[:MAX_KNOWN_PEERS]:
        try:
            peer = _decode(Members(item), dropped)
        except MalformedMessage as error:
            dropped.append(str(error))
            continue
        if peer.public_key in peers:
            dropped.append("wg_pubkey: comes twice")
        else:
            peers[peer.public_key] = peer
    if len(items) > MAX_KNOWN_PEERS:
        dropped.append(f"peers: more than {MAX_KNOWN_PEERS}")
    return DecodedCache(tuple(peers.values()), tuple(dropped))


def _encode(peer: CachedPeer) -> dict[str, object]:
    members: dict[str, object] = {
        "wg_pubkey": peer.public_key.text,
        "hostname": wire_hostname(peer.hostname),
        "mesh_ip": str(peer.mesh_ipv4),
        "mesh_ipv6": str(peer.mesh_ipv6 or ""),
        "endpoint": str(peer.endpoint or ""),
        "introducer": peer.introducer,
        "routable_networks": [str(network) for network in peer.routable_networks[:MAX_ROUTABLE_NETWORKS]],
        "nat_type": peer.nat_type,
        "last_seen": peer.last_seen,
        "possession_at": peer.possession_at,
    }
    always = {"endpoint", "last_seen"}
    return {name: value for name, value in members.items() if value or name in always}


def _decode(members: Members, dropped: list[str]) -> CachedPeer:
    last_seen = members.integer("last_seen")
    if last_seen < 0:
        raise MalformedMessage("last_seen: negative")
    return CachedPeer(
        public_key=parse_public_key("wg_pubkey", members.text("wg_pubkey")),
        mesh_ipv4=parse_mesh_ipv4("mesh_ip", members.text("mesh_ip")),
        last_seen=last_seen,
        mesh_ipv6=parse_mesh_ipv6("mesh_ipv6", members.text("mesh_ipv6")),
        hostname=parse_hostname("hostname", members.text("hostname")),
        endpoint=parse_advertised_endpoint("endpoint", members.text("endpoint")),
        introducer=members.flag("introducer"),
        routable_networks=tuple(_networks(members, dropped)),
        nat_type=parse_nat_type(members.text("nat_type")),
        possession_at=members.integer("possession_at") if "possession_at" in members else None,
    )


def _networks(members: Members, dropped: list[str]) -> Iterator[IPNetwork]:
    for item in members.items("routable_networks")[:MAX_ROUTABLE_NETWORKS]:
        try:
            yield parse_network("routable_networks", item if isinstance(item, str) else "")
        except MalformedMessage as error:
            dropped.append(str(error))
