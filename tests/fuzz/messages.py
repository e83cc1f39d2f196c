"""A good message of each type, for targets that begin where the seal ends."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import count

from support.discovery.discovery_wire import KEYS, START
from support.discovery.go_peer import GoPeer
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import Announcement, Extension, KnownPeer, encode_announcement
from wgmesh.core.wire.envelope import MessageType, encrypt, plaintext_of
from wgmesh.core.wire.gossip_message import Bucket, Entry, Gossip, encode_gossip

NOW = START
FUTURE = "FUTURE"
# Inputs name a type by its place, so later types go to the end.
_FIRST_TYPES = ("HELLO", "REPLY", "ANNOUNCE", "GOODBYE", "RENDEZVOUS_OFFER", "RENDEZVOUS_START", "PROBE", "PROBE_REPLY")
TYPES = (*_FIRST_TYPES, FUTURE, *(str(each) for each in MessageType if each not in _FIRST_TYPES))
GO = GoPeer(9, "192.168.1.9")
NATIVE = GoPeer(2, "192.168.1.2")
_SEQUENCES = count(1)


@cache
def payloads() -> dict[str, bytes]:
    """The plaintext of a good message of each type."""
    hello = GO.announcement(NOW, routable_networks=["192.168.7.0/24", "2001:db8:7::/48"], nat_type="cone")
    hello["known_peers"] = [GoPeer(8, "192.0.2.8").known_peer() | {"age": 7}]
    own = _full_announcement()
    probe = {"protocol": "wgmesh-v1", "timestamp": int(NOW), "token": "ab" * 16}
    pair = {"protocol": "wgmesh-v1", "timestamp": int(NOW), "pair_id": "p"}
    plain: dict[str, dict[str, object]] = {
        MessageType.HELLO: hello,
        MessageType.REPLY: encode_announcement(own, int(NOW)),
        MessageType.ANNOUNCE: encode_announcement(own, int(NOW)) | {"observed_endpoint": None},
        MessageType.GOODBYE: {"protocol": "wgmesh-v1", "timestamp": int(NOW), "wg_pubkey": GO.key.text},
        MessageType.RENDEZVOUS_OFFER: pair | {"from_pubkey": GO.key.text, "target_pubkey": NATIVE.key.text},
        MessageType.RENDEZVOUS_START: pair | {"peer_pubkey": GO.key.text, "start_at_unix_ms": int(NOW * 1000)},
        MessageType.PROBE: probe,
        MessageType.PROBE_REPLY: probe
        | {"wg_pubkey": GO.key.text, "hostname": "go-9", "mesh_ip": GO.mesh_ip, "observed_endpoint": "192.0.2.1:9"},
        FUTURE: {"protocol": "wgmesh-v1", "timestamp": int(NOW)},
    }
    plain[MessageType.GOSSIP] = encode_gossip(gossip_messages()[-1], int(NOW))
    assert set(plain) == set(TYPES)
    texts = {str(name): plaintext_of(name, payload) for name, payload in plain.items()}
    texts[MessageType.HELLO] = json.dumps(hello, separators=(",", ":")).encode()  # as upstream, without a sealed type
    return texts


@cache
def gossip_messages() -> tuple[Gossip, ...]:
    """One of each step of a comparison, and one of all together."""
    extension = Extension(bytes(8), 1, (), "", 4444)
    entry = Entry(GO.key.raw[:6], int(NOW * 1000))
    known = KnownPeer(GO.key, KEYS.default_ipv4_network[7], age_s=3, revision=int(NOW * 1000))
    summary = Gossip(NATIVE.key, extension, summary=(bytes(3), b"abc"))
    entries = Gossip(NATIVE.key, extension, buckets=(Bucket(0, 2, (entry,)), Bucket(1, 2)))
    records = Gossip(NATIVE.key, extension, wanted=(bytes(6),), records=(known,))
    return summary, entries, records, replace(records, summary=summary.summary, buckets=entries.buckets)


def sealed(message_type: str, plaintext: bytes, number: int = 0) -> bytes:
    """The datagram; another `number` is another nonce."""
    return encrypt(message_type, plaintext, KEYS.gossip_key, number.to_bytes(12, "big"))


def _full_announcement() -> Announcement:
    endpoint = Endpoint.parse("[2001:db8::2]:51820")
    known = KnownPeer(PublicKey(bytes([7]) * 32), KEYS.default_ipv4_network[7], age_s=3)
    return Announcement(
        public_key=NATIVE.key,
        mesh_ipv4=KEYS.default_ipv4_network[9],
        mesh_ipv6=KEYS.ipv6_network[9],
        hostname="native",
        endpoint=AdvertisedEndpoint.of(endpoint),
        introducer=True,
        nat_type="symmetric",
        known_peers=(known,),
        observed_endpoint=Endpoint.parse("192.0.2.1:9"),
        extension=Extension(bytes(8), 1, (endpoint,), "", 4444),
    )
