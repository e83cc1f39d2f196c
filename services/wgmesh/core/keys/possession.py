"""Proof that the sender of a message holds the private key of the public key that it names.

Every member knows the mesh secret, so a message that is only sealed with it may name any key as its sender. Two nodes
agree on a key of their own with their WireGuard keys (X25519, RFC 7748), and a MAC under it can be made by those two
alone. Which of the two made it is told by the order of the keys in it: the sender's comes first.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from nacl import bindings
from nacl.exceptions import CryptoError
from wgmesh.core.errors import WeakKey
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import KEY_BYTES, PublicKey

PROOF_BYTES = 16  # nobody can try proofs offline, and online the rate limits stop a guess long before 2**64 tries

# specification of this program's own extension (docs/reference/wire.md)
PAIR_INFO = b"wgmesh-pair-v1"
PROOF_LABEL = b"wgmesh-proof-v1"


class PairKey:
    """The key that two nodes share and nobody else has. Never shows its bytes."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        """Takes 32 bytes. Raises ValueError for another length."""
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a pair key has {KEY_BYTES} bytes, not {len(raw)}")
        self._raw = raw

    def reveal(self) -> bytes:
        return self._raw

    def __repr__(self) -> str:
        return "PairKey(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PairKey) and hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self._raw)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What came of agreeing with one peer: a key, or in one sentence why there is none."""

    public_key: PublicKey
    pair_key: PairKey | None
    reason: str = ""


def agree(private_key: PrivateKey, public_key: PublicKey) -> PairKey:
    """Returns the key that the holder of `private_key` shares with the holder of `public_key`; both get the same.

    HKDF-SHA256 (RFC 5869) of the X25519 secret, with both public keys as salt, the lower bytes first. Raises WeakKey
    where the agreement would prove nothing: for a point of low order.

    With the own public key it gives what only another holder of the same private key can compute. A proof under it can
    be mirrored to who made it, so it counts only where it names another run of the process.
    """
    own = private_key.public_key
    try:
        shared = bindings.crypto_scalarmult(private_key.reveal(), public_key.raw)
    except CryptoError:  # libsodium refuses the result that everybody can compute (RFC 7748, section 6.1)
        raise WeakKey(
            f"the key {public_key.short} is a point of low order; no WireGuard device has such a key"
        ) from None
    salt = b"".join(sorted((own.raw, public_key.raw)))
    pseudorandom = hmac.digest(salt, shared, hashlib.sha256)
    return PairKey(hmac.digest(pseudorandom, PAIR_INFO + b"\x01", hashlib.sha256))


def proof(pair_key: PairKey, purpose: str, sender: PublicKey, recipient: PublicKey, transcript: bytes) -> bytes:
    """Returns 16 bytes that only `sender` and `recipient` can make for this purpose, direction and transcript.

    `purpose` is a short ASCII word; no proof for one purpose serves for another. Raises ValueError for a longer one.
    """
    word = purpose.encode("ascii")
    if not 0 < len(word) < 256:
        raise ValueError("a purpose has 1 to 255 ASCII characters")
    # everything before the transcript has a known length, so no two inputs are written alike
    text = b"".join((PROOF_LABEL, bytes([len(word)]), word, sender.raw, recipient.raw, transcript))
    return hmac.digest(pair_key.reveal(), text, hashlib.sha256)[:PROOF_BYTES]


def verify(
    claimed: bytes, pair_key: PairKey, purpose: str, sender: PublicKey, recipient: PublicKey, transcript: bytes
) -> bool:
    """Whether `claimed` is the proof of all this. Takes the same time for every wrong one."""
    return hmac.compare_digest(claimed, proof(pair_key, purpose, sender, recipient, transcript))
