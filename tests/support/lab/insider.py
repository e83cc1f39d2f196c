"""A member that lies: it knows the secret, holds keys of its own, and says what it likes in whose name it likes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

from wgmesh.core.addressing import derive_ipv4, derive_ipv6
from wgmesh.core.keys.keyschedule import MeshKeys, derive
from wgmesh.core.keys.possession import agree, proof
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PublicKey
from wgmesh.core.wire.announcement import EXTENSION_MEMBER, transcript_of, with_proof
from wgmesh.core.wire.envelope import NONCE_BYTES, seal
from wgmesh.core.wire.wirefield import REVISION_LIMIT

NEWEST = REVISION_LIMIT - 2  # newer than whatever the victim says of itself
_sequence = count(1 << 40)
# Newer than what an honest node says, and than what was said before: a node outbids what it hears of itself by one.
_revision = count(REVISION_LIMIT // 4, 1000)


@dataclass
class Insider:
    """Makes messages. `private_key` is what it can make proofs with; the names in its messages are its choice."""

    secret: Secret
    private_key: PrivateKey = field(default_factory=lambda: PrivateKey(os.urandom(32)))

    @cached_property
    def keys(self) -> MeshKeys:
        return derive(self.secret)

    @property
    def public_key(self) -> PublicKey:
        return self.private_key.public_key

    def describe(self, key: PublicKey, **members: Any) -> dict[str, Any]:
        """The payload of HELLO, REPLY and ANNOUNCE in the name of `key`, as a Go node writes it."""
        return {
            "protocol": "wgmesh-v1",
            "wg_pubkey": key.text,
            "hostname": "liar",
            "mesh_ip": str(derive_ipv4(key, self.secret, self.keys)),
            "mesh_ipv6": str(derive_ipv6(key, self.secret, self.keys)),
            "wg_endpoint": "192.168.77.200:51820",
            "timestamp": int(time.time()),
        } | members

    def extended(self, payload: dict[str, Any], **members: Any) -> dict[str, Any]:
        """The same as our own nodes write it, newer than whatever was said before."""
        extension = {"v": 1, "boot": os.urandom(8).hex(), "seq": next(_sequence), "rev": next(_revision)} | members
        return payload | {EXTENSION_MEMBER: extension}

    def seal(self, kind: str, payload: dict[str, Any]) -> bytes:
        return seal(kind, payload, self.keys.gossip_key, os.urandom(NONCE_BYTES))

    def seal_to(self, recipient: PublicKey, kind: str, payload: dict[str, Any]) -> bytes:
        """With the best proof that this member can make, which names the sender that the payload names."""
        sender = PublicKey.parse(payload["wg_pubkey"])
        pair_key = agree(self.private_key, recipient)
        made = proof(pair_key, kind, sender, recipient, transcript_of(payload))
        return self.seal(kind, with_proof(payload, made))
