"""What the members of a mesh derive for one hour, to meet in a DHT under names that strangers cannot tie together.

Upstream derives one such value, the network id; the rest is our own. All are HKDF-SHA256 (RFC 5869) of the secret with
an info of their own, which names the hour.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from wgmesh.core.keyschedule import network_id_at
from wgmesh.core.model import PublicKey
from wgmesh.core.secret import Secret

# specification
HOUR_S = 3600
DIRECTORY_KEY_BYTES = 20  # kademlia's ids span 160 bits
ROSTER_SLOTS = 16  # whoever reads them all learns of up to 16 members, and one of them tells of the rest


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """The values of one hour. Nothing secret is shown."""

    hour: int
    """Hours since 1970."""
    infohash: bytes = field(repr=False)
    """20 bytes: upstream's hourly network id, under which members announce themselves (BEP 5)."""
    record_seed: bytes = field(repr=False)
    """32 bytes: the Ed25519 seed whose key signs every member's item (BEP 44). All members have it."""
    record_key: bytes = field(repr=False)
    """32 bytes: the AES-256-GCM key of every member's record."""
    directory_key: bytes = field(repr=False)
    """32 bytes: keys the names of records in a private DHT."""

    def member_name(self, key: PublicKey) -> bytes:
        """The 20 bytes under which a private DHT holds the record of one member."""
        return self._name(b"member|" + key.raw)

    def roster_name(self, slot: int) -> bytes:
        """The 20 bytes of one slot of the roster: some member's record, whoever wrote it last."""
        return self._name(b"roster|%d" % slot)

    def roster_slot(self, key: PublicKey) -> int:
        """The slot that a member writes. It changes every hour, so that two who share one part again."""
        return self._name(b"slot|" + key.raw)[0] % ROSTER_SLOTS

    def _name(self, text: bytes) -> bytes:
        return hmac.digest(self.directory_key, text, "sha256")[:DIRECTORY_KEY_BYTES]


def epoch_keys(secret: Secret, hour: int) -> EpochKeys:
    """Returns the values of one hour since 1970."""
    pseudo_random_key = hmac.digest(bytes(32), secret.reveal_bytes(), "sha256")  # RFC 5869, 2.2, with no salt

    def expand(info: str) -> bytes:
        text = f"{info}|{hour}".encode()
        return hmac.digest(pseudo_random_key, text + b"\x01", "sha256")  # RFC 5869, 2.3, one block of 32 bytes

    return EpochKeys(
        hour=hour,
        infohash=network_id_at(secret, hour * HOUR_S),
        record_seed=expand("wgmesh-record-seed-v1"),
        record_key=expand("wgmesh-record-v1"),
        directory_key=expand("wgmesh-directory-v1"),
    )
