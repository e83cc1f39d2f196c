"""A node's X25519 private key."""

from __future__ import annotations

import base64

from nacl import bindings
from wgmesh.core.model import KEY_BYTES, PublicKey


class PrivateKey:
    """A WireGuard private key, clamped as RFC 7748, section 5, asks. Never shows its bytes."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        """Takes 32 bytes, clamped or not. Raises ValueError for another length."""
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a WireGuard private key has {KEY_BYTES} bytes, not {len(raw)}")
        scalar = bytearray(raw)
        scalar[0] &= 0b1111_1000
        scalar[-1] = scalar[-1] & 0b0111_1111 | 0b0100_0000
        self._raw = bytes(scalar)

    @property
    def public_key(self) -> PublicKey:
        return PublicKey(bindings.crypto_scalarmult_base(self._raw))

    def reveal(self) -> bytes:
        return self._raw

    def reveal_text(self) -> str:
        """The base64 form of `wg genkey`."""
        return base64.b64encode(self._raw).decode("ascii")

    def __repr__(self) -> str:
        return "PrivateKey(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrivateKey) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash(self._raw)
