"""What the members of a mesh derive for one hour, to meet in a DHT under names that strangers cannot tie together.

Upstream derives one such value, the network id; the rest is our own. All are HKDF-SHA256 (RFC 5869) of the secret with
an info of their own, which names the hour. What every member derives, every member can overwrite in a public DHT. A
slot of two members is derived from the key that they share as well, so that nobody else can.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from wgmesh.core.keys.keyschedule import network_id_at
from wgmesh.core.keys.possession import PairKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PublicKey

# specification
HOUR_S = 3600
DIRECTORY_KEY_BYTES = 20  # kademlia's ids span 160 bits
ROSTER_SLOTS = 16  # a member that reads them all learns of up to 16 members, and one of them tells of the rest
PAIR_SLOT_LABEL = b"wgmesh-pair-slot-v1"  # no proof of possession begins like that (core/keys/possession.py)


@dataclass(frozen=True, slots=True)
class PairSlot:
    """A place in a DHT that two members know: one of them writes there, the other reads."""

    seed: bytes = field(repr=False)
    """32 bytes: the Ed25519 seed whose key signs the item."""
    key: bytes = field(repr=False)
    """32 bytes: the AES-256-GCM key of the record."""


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """The values of one hour. Nothing secret is shown."""

    hour: int
    """Hours since 1970."""
    infohash: bytes = field(repr=False)
    """20 bytes: upstream's hourly network id, under which members announce themselves (BEP 5)."""
    record_root: bytes = field(repr=False)
    """32 bytes: what the Ed25519 seeds of this hour's items (BEP 44) are derived from. All members have it."""
    record_key: bytes = field(repr=False)
    """32 bytes: the AES-256-GCM key of the records that every member may read."""
    directory_key: bytes = field(repr=False)
    """32 bytes: keys the names of records in a private DHT."""

    def place_seed(self, place: bytes) -> bytes:
        """The Ed25519 seed of the item that tells whose an address is; `place` is that address.

        Each address has a key of its own, so that who keeps an item can tell neither the address nor which other items
        are of the same mesh.
        """
        return hmac.digest(self.record_root, b"place|" + place, "sha256")

    def pair_slot(self, pair_key: PairKey, writer: PublicKey) -> PairSlot:
        """Where `writer` puts its record for the one member that it shares `pair_key` with.

        It takes the secret, the hour and one of the two private keys to compute this: no third member can.
        """
        root = hmac.digest(pair_key.reveal(), PAIR_SLOT_LABEL + self.record_root + writer.raw, "sha256")
        return PairSlot(hmac.digest(root, b"seed", "sha256"), hmac.digest(root, b"key", "sha256"))

    def member_name(self, key: PublicKey) -> bytes:
        """The 20 bytes under which a private DHT holds the record of one member."""
        return self._name(b"member|" + key.raw)

    def roster_name(self, slot: int) -> bytes:
        """The 20 bytes of one slot of the roster: the record of the member that wrote it last."""
        return self._name(b"roster|%d" % slot)

    def roster_slot(self, key: PublicKey) -> int:
        """The slot that a member writes. It changes every hour, so that two who share one part again."""
        return self._name(b"slot|" + key.raw)[0] % ROSTER_SLOTS

    def names_of(self, key: PublicKey) -> tuple[bytes, bytes]:
        """Both names under which the record of one member lies."""
        return self.member_name(key), self.roster_name(self.roster_slot(key))

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
        record_root=expand("wgmesh-record-root-v1"),
        record_key=expand("wgmesh-record-v1"),
        directory_key=expand("wgmesh-directory-v1"),
    )
