"""The announcement of a new secret, as upstream makes it (protocol notes, 4.3). Nothing sends it yet, there or here.

It holds the new secret's hash, not the secret: members who are told the new one by another way know that it is meant.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.jsonstrict import Members
from wgmesh.core.secret import Secret

# specification
HASH_BYTES = 32
SIGNATURE_BYTES = 32
FRESHNESS_S = 3600


@dataclass(frozen=True, slots=True)
class RotationAnnouncement:
    """`timestamp` is in Unix seconds; the old secret goes on for `grace_s` after it."""

    new_secret_hash: bytes
    grace_s: int
    timestamp: int
    signature: bytes

    def is_of(self, secret: Secret) -> bool:
        """Whether this is the secret that is announced."""
        return hmac.compare_digest(self.new_secret_hash, _hash_of(secret))


def announce_rotation(membership_key: bytes, secret: Secret, grace_s: int, timestamp: int) -> RotationAnnouncement:
    """Announces `secret` to who has the old secret's membership key."""
    new_secret_hash = _hash_of(secret)
    signature = _sign(membership_key, new_secret_hash, grace_s, timestamp)
    return RotationAnnouncement(new_secret_hash, grace_s, timestamp, signature)


def is_authentic(announcement: RotationAnnouncement, membership_key: bytes, now: float) -> bool:
    """Whether it was made with the old secret, within an hour of `now` (Unix seconds) either way."""
    expected = _sign(membership_key, announcement.new_secret_hash, announcement.grace_s, announcement.timestamp)
    return abs(now - announcement.timestamp) <= FRESHNESS_S and hmac.compare_digest(announcement.signature, expected)


def encode_rotation(announcement: RotationAnnouncement) -> dict[str, object]:
    """Returns the members, in upstream's order."""
    return {
        "new_secret_hash": b64encode(announcement.new_secret_hash).decode("ascii"),
        "grace_period": announcement.grace_s,
        "timestamp": announcement.timestamp,
        "signature": b64encode(announcement.signature).decode("ascii"),
    }


def decode_rotation(payload: Mapping[str, object]) -> RotationAnnouncement:
    """Reads the members. Raises MalformedMessage."""
    members = Members(payload)
    return RotationAnnouncement(
        new_secret_hash=_binary(members, "new_secret_hash", HASH_BYTES),
        grace_s=members.integer("grace_period"),
        timestamp=members.integer("timestamp"),
        signature=_binary(members, "signature", SIGNATURE_BYTES),
    )


def _hash_of(secret: Secret) -> bytes:
    return hashlib.sha256(secret.reveal_bytes()).digest()


def _sign(membership_key: bytes, new_secret_hash: bytes, grace_s: int, timestamp: int) -> bytes:
    text = f"{new_secret_hash.hex()}|{grace_s}|{timestamp}"
    return hmac.digest(membership_key, text.encode("ascii"), "sha256")


def _binary(members: Members, name: str, size: int) -> bytes:
    try:
        value = binascii.a2b_base64(members.text(name).encode("ascii"), strict_mode=True)
    except ValueError:
        raise MalformedMessage(f"{name}: not base64") from None
    if len(value) != size:
        raise MalformedMessage(f"{name}: not {size} bytes")
    return value
