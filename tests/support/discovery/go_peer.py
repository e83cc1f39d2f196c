"""A neighbour that speaks as upstream's Go nodes do: no sealed type, no members of ours."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from support.discovery.discovery_wire import KEYS, SECRET, Node, Wire
from wgmesh.core.addressing import derive_ipv4, derive_ipv6
from wgmesh.core.model import PublicKey
from wgmesh.core.wire.envelope import encrypt

_nonces = count(1)


@dataclass
class GoPeer:
    """Seals what a Go node would send."""

    number: int
    host: str
    members: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> PublicKey:
        return PublicKey(bytes([self.number]) * 32)

    @property
    def source(self) -> str:
        return f"{self.host}:{KEYS.gossip_port}"

    @property
    def mesh_ip(self) -> str:
        return str(derive_ipv4(self.key, SECRET, KEYS))

    @property
    def tunnel_source(self) -> str:
        return f"{self.mesh_ip}:{KEYS.gossip_port}"

    def announcement(self, now: float, **members: Any) -> dict[str, Any]:
        payload = {
            "protocol": "wgmesh-v1",
            "wg_pubkey": self.key.text,
            "hostname": f"go-{self.number}",
            "mesh_ip": self.mesh_ip,
            "mesh_ipv6": str(derive_ipv6(self.key, SECRET, KEYS)),
            "wg_endpoint": f"{self.host}:51820",
            "timestamp": int(now),
        }
        return payload | self.members | members

    def known_peer(self) -> dict[str, Any]:
        """What another Go node says of this one."""
        payload = self.announcement(0)
        return {name: payload[name] for name in ("wg_pubkey", "hostname", "mesh_ip", "mesh_ipv6", "wg_endpoint")}

    def hello(self, now: float, **members: Any) -> bytes:
        return seal("HELLO", self.announcement(now, **members))

    def announce(self, now: float, **members: Any) -> bytes:
        return seal("ANNOUNCE", self.announcement(now, **members))

    def reply(self, now: float, observed: str, **members: Any) -> bytes:
        return seal("REPLY", self.announcement(now, observed_endpoint=observed, **members))

    def goodbye(self, now: float, **members: Any) -> bytes:
        return seal(
            "GOODBYE",
            {"protocol": "wgmesh-v1", "timestamp": int(now), "wg_pubkey": self.key.text} | members,
        )


def seal(message_type: str, payload: object) -> bytes:
    return encrypt(message_type, json.dumps(payload).encode(), KEYS.gossip_key, next(_nonces).to_bytes(12, "big"))


def meet(wire: Wire, node: Node, peer: GoPeer, **members: Any) -> None:
    """Lets a Go peer say HELLO to a node, and answer what it is asked then: it is a direct peer after this."""
    wire.inject(node, peer.hello(wire.now, **members), peer.source)
    wire.inject(node, peer.reply(wire.now, str(node.address), **members), peer.source)


def relabel(datagram: bytes, message_type: str) -> bytes:
    """The same sealed bytes under another type, as anybody can make it who has captured them."""
    return json.dumps(json.loads(datagram) | {"type": message_type}).encode()
