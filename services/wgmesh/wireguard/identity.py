"""The X25519 key pair of a node."""

from __future__ import annotations

from nacl import bindings
from wgmesh.core.model import KEY_BYTES, PublicKey


def clamp(private_key: bytes) -> bytes:
    """Returns the private key as RFC 7748, section 5, stores a scalar. WireGuard and libsodium accept both forms."""
    if len(private_key) != KEY_BYTES:
        raise ValueError(f"a private key has {KEY_BYTES} bytes, not {len(private_key)}")
    scalar = bytearray(private_key)
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    return bytes(scalar)


def public_key_of(private_key: bytes) -> PublicKey:
    """Returns the public key of a private key, clamped or not. Raises ValueError for another length."""
    return PublicKey(bindings.crypto_scalarmult_base(clamp(private_key)))
