"""The seal of one private-DHT datagram: XChaCha20-Poly1305 under a key that only members derive.

    0xd1 | nonce (24) | encrypted: Unix seconds (4, big endian) and payload | tag (16)

The nonce is long enough to be random for every datagram, by every member, for the life of the secret. The first byte
is authenticated as well. It tells the datagrams from STUN (0x00-0x03), WireGuard (0x01-0x04), `d` of KRPC and `{` of
the envelope, so that one port could carry them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from wgmesh.core.errors import InvalidInput, MalformedMessage, NotSealed

FIRST_BYTE = b"\xd1"
NONCE_BYTES = 24
TIMESTAMP_BYTES = 4  # unsigned: until the year 2106
TIMESTAMP_MAX = (1 << 8 * TIMESTAMP_BYTES) - 1
TAG_BYTES = 16
OVERHEAD_BYTES = len(FIRST_BYTE) + NONCE_BYTES + TIMESTAMP_BYTES + TAG_BYTES
MAX_DATAGRAM_BYTES = 1232  # IPv6's minimum MTU of 1280 less its header and UDP's: never fragmented
MAX_PAYLOAD_BYTES = MAX_DATAGRAM_BYTES - OVERHEAD_BYTES
FRESHNESS_S = 600  # as the envelope: what is recorded is useless after ten minutes, and clocks may be that wrong


@dataclass(frozen=True, slots=True)
class Unsealed:
    """An authentic, fresh payload. The nonce tells a replay from a new datagram."""

    payload: bytes = field(repr=False)
    nonce: bytes


def seal(payload: bytes, key: bytes, nonce: bytes, now: float) -> bytes:
    """Returns the datagram. `key` has 32 bytes, the random `nonce` 24; `now` is in Unix seconds.

    Raises InvalidInput for a payload of more than MAX_PAYLOAD_BYTES.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise InvalidInput(f"{len(payload)} bytes do not fit into a datagram; at most {MAX_PAYLOAD_BYTES} do.")
    timestamp = min(max(int(now), 0), TIMESTAMP_MAX)  # a clock that is set beyond it is wrong, and no reason to fail
    plaintext = timestamp.to_bytes(TIMESTAMP_BYTES, "big") + payload
    return FIRST_BYTE + nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, FIRST_BYTE, nonce, key)


def looks_sealed(datagram: bytes) -> bool:
    """Whether decryption is worth a try."""
    return datagram[:1] == FIRST_BYTE and OVERHEAD_BYTES <= len(datagram) <= MAX_DATAGRAM_BYTES


def unseal(datagram: bytes, key: bytes, now: float) -> Unsealed:
    """Opens a datagram received at `now` (Unix seconds). Raises MalformedMessage with a stable reason.

    Replays within the 600 s open again; remembering nonces is the caller's part.
    """
    if not looks_sealed(datagram):
        raise MalformedMessage("not a sealed datagram")
    nonce = datagram[1 : 1 + NONCE_BYTES]
    try:
        plaintext = crypto_aead_xchacha20poly1305_ietf_decrypt(datagram[1 + NONCE_BYTES :], FIRST_BYTE, nonce, key)
    except CryptoError:
        raise NotSealed("not sealed with this mesh's key") from None
    timestamp = int.from_bytes(plaintext[:TIMESTAMP_BYTES], "big")
    if now - timestamp > FRESHNESS_S:
        raise MalformedMessage("timestamp: too old")
    if timestamp > now + FRESHNESS_S:
        raise MalformedMessage("timestamp: in the future")
    return Unsealed(plaintext[TIMESTAMP_BYTES:], nonce)
