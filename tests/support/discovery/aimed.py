"""A dishonest member that aims one node at a host that has never answered it: all that it can say, of every type."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from support.discovery.discovery_wire import KEYS, SECRET, Node, Wire, describe, kind
from support.discovery.pairing import prove_payload
from wgmesh.core.addressing import derive_ipv4
from wgmesh.core.model import Endpoint, IPAddress, PeerProof, PublicKey
from wgmesh.core.wire.announcement import EXTENSION_MEMBER
from wgmesh.core.wire.envelope import NONCE_BYTES, MessageType, seal
from wgmesh.core.wire.probe import Probe, encode_probe
from wgmesh.core.wire.rendezvous import pair_id

PORT = KEYS.gossip_port
INTRODUCER = "44.128.0.1"
PORTS = range(4000, 4016)  # as many candidates as a message may have
Payload = dict[str, Any]


@dataclass
class Aimed:
    """`victim` is the node that is aimed. The liar is a member that it knows, with a tunnel, and introduces others."""

    wire: Wire = field(default_factory=Wire)
    came: dict[IPAddress, int] = field(default_factory=dict)
    """Bytes that came from a host, by their source, or that named it."""

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self.liar = self.wire.add(INTRODUCER, number=100, lan=False)
        self.liar.core.set_self(replace(self.liar.description, introducer=True), (), self.wire.now)
        self.victim = self.wire.add("44.130.0.1", number=1, lan=False)
        external = tuple(Endpoint.parse(f"44.130.0.{last}:51820") for last in (1, 2, 3))
        own = replace(self.victim.description, external_endpoints=external, introducer=True)
        self.victim.core.set_static([self.liar.address], self.wire.now)
        proof = PeerProof(self.liar.key, Endpoint.of(INTRODUCER, 51820), self.wire.now)
        self.victim.core.set_self(own, [proof], self.wire.now)
        self.wire.settle()
        self.wire.advance(3.0)
        assert self.victim.peers()[self.liar.key].control_endpoint == self.liar.address
        self.wire.remove(self.liar)  # from here on it says what the test says
        self.victim.sent.clear()

    def sent_to(self, host: IPAddress) -> list[bytes]:
        return [each.data for each in self.victim.sent if each.to.host == host and not each.channel]

    def say(self, message: MessageType, target: IPAddress, *, forged: bool, key: PublicKey | None = None) -> bytes:
        """Says one message of a type that names the target or, `forged`, whose source it is. Returns its bytes."""
        number = next(self._numbers)
        sender = key or self.liar.key
        payload = AIMED[message](self, sender, target)
        if EXTENSION_MEMBER in payload:
            payload[EXTENSION_MEMBER] |= {"v": 1, "boot": f"{9:016x}", "seq": number}
            payload = prove_payload(str(message), payload, sender, self.victim.key)
        data = seal(message, payload, KEYS.gossip_key, number.to_bytes(NONCE_BYTES, "big"))
        self.repeat(data, message, target, forged=forged)
        return data

    def repeat(self, data: bytes, message: MessageType, target: IPAddress, *, forged: bool) -> None:
        inside = message in (MessageType.GOSSIP, MessageType.ANNOUNCE) and not forged
        source = Endpoint(self.liar.description.mesh_ipv4, PORT) if inside else self.liar.address
        self.came[target] = self.came.get(target, 0) + len(data)
        self.wire.inject(self.victim, data, str(Endpoint(target, PORT) if forged else source))

    def describe(self, sender: PublicKey, target: IPAddress, **members: Any) -> Payload:
        return {
            "protocol": "wgmesh-v1",
            "timestamp": int(self.wire.now),
            "wg_pubkey": sender.text,
            "mesh_ip": str(derive_ipv4(sender, SECRET, KEYS)),
            "wg_endpoint": str(Endpoint(target, 51820)),
        } | members

    def records(self, target: IPAddress) -> list[Payload]:
        """Some members that do not exist, all at the target."""
        keys = [PublicKey(bytes([200, number, next(self._numbers) % 256]) + bytes(29)) for number in range(2)]
        names = ("wg_pubkey", "mesh_ip", "wg_endpoint")
        return [{name: self.describe(key, target)[name] for name in names} for key in keys]


def _announcement(aimed: Aimed, sender: PublicKey, target: IPAddress) -> Payload:
    return aimed.describe(sender, target, known_peers=aimed.records(target))


def _reply(aimed: Aimed, sender: PublicKey, target: IPAddress) -> Payload:
    return _announcement(aimed, sender, target) | {"observed_endpoint": str(Endpoint(target, PORT))}


def _goodbye(aimed: Aimed, sender: PublicKey, target: IPAddress) -> Payload:
    return {"protocol": "wgmesh-v1", "timestamp": int(aimed.wire.now), "wg_pubkey": sender.text}


def _gossip(aimed: Aimed, sender: PublicKey, target: IPAddress) -> Payload:
    return _goodbye(aimed, sender, target) | {EXTENSION_MEMBER: {}, "records": aimed.records(target)}


def _offer(aimed: Aimed, sender: PublicKey, target: IPAddress) -> Payload:
    """Asks for the liar, which exists; the liar itself for somebody who does not."""
    wanted = describe(77).public_key if sender == aimed.liar.key else aimed.liar.key
    return {
        "protocol": "wgmesh-v1",
        "timestamp": int(aimed.wire.now),
        "from_pubkey": sender.text,
        "target_pubkey": wanted.text,
        "pair_id": "",
        "candidates": [str(Endpoint(target, port)) for port in PORTS],
    }


def _start(aimed: Aimed, sender: PublicKey, target: IPAddress) -> Payload:
    peer = describe(50 + next(aimed._numbers) % 40).public_key
    return {
        "protocol": "wgmesh-v1",
        "timestamp": int(aimed.wire.now),
        "pair_id": pair_id(aimed.victim.key, peer),
        "peer_pubkey": peer.text,
        "peer_candidates": [str(Endpoint(target, port)) for port in PORTS],
        "start_at_unix_ms": int(aimed.wire.now * 1000) + 200,
        "introducer_key": sender.text,
    }


def _probe(aimed: Aimed, sender: PublicKey, target: IPAddress) -> Payload:
    return encode_probe(Probe(next(aimed._numbers).to_bytes(16, "big")), int(aimed.wire.now))


AIMED: Mapping[MessageType, Callable[[Aimed, PublicKey, IPAddress], Payload]] = {
    MessageType.HELLO: _announcement,
    MessageType.REPLY: _reply,
    MessageType.ANNOUNCE: _announcement,
    MessageType.GOODBYE: _goodbye,
    MessageType.GOSSIP: _gossip,
    MessageType.RENDEZVOUS_OFFER: _offer,
    MessageType.RENDEZVOUS_START: _start,
    MessageType.PROBE: _probe,
    MessageType.PROBE_REPLY: _goodbye,
}
"""A type that is missing here fails the tests until somebody has thought about what it makes a node send."""


def minimal(aimed: Aimed, sender: PublicKey) -> bytes:
    """The shortest HELLO that is answered."""
    payload = aimed.describe(sender, ipaddress.IPv4Address("0.0.0.0"), wg_endpoint="")
    return seal(MessageType.HELLO, payload, KEYS.gossip_key, next(aimed._numbers).to_bytes(NONCE_BYTES, "big"))


def kinds(node: Node, host: IPAddress) -> list[str]:
    """What was sent to a host."""
    return [kind(each) for each in node.sent if each.to.host == host]
