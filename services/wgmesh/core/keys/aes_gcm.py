"""AES-256-GCM, from whichever of two libraries costs a node less.

libsodium is in every process anyway, for X25519; it has AES-GCM only where the processor has instructions for it.
`cryptography` has it everywhere and takes 9 MB, so it is loaded only where libsodium cannot do it. Both give the same
bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nacl import bindings
from nacl.exceptions import CryptoError, UnavailableError

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


class NotAuthentic(Exception):
    """The ciphertext was not made with this key, nonce and associated data."""


class AesGcm(Protocol):
    """One implementation. Nonces must never repeat under one key. A key or nonce of another length is a bug."""

    def seal(self, plaintext: bytes, key: bytes, nonce: bytes, associated: bytes = b"") -> bytes:
        """Returns the ciphertext with its tag."""

    def open(self, ciphertext: bytes, key: bytes, nonce: bytes, associated: bytes = b"") -> bytes:
        """Returns the plaintext. Raises NotAuthentic."""


class LibsodiumAesGcm:
    """libsodium's. To make one raises UnavailableError where the processor has no AES."""

    def __init__(self) -> None:
        self.seal(b"", bytes(KEY_BYTES), bytes(NONCE_BYTES))  # the bindings have no other way to ask

    def seal(self, plaintext: bytes, key: bytes, nonce: bytes, associated: bytes = b"") -> bytes:
        return bindings.crypto_aead_aes256gcm_encrypt(plaintext, associated, nonce, key)

    def open(self, ciphertext: bytes, key: bytes, nonce: bytes, associated: bytes = b"") -> bytes:
        if len(ciphertext) < TAG_BYTES:  # the bindings do not check that
            raise NotAuthentic
        try:
            return bindings.crypto_aead_aes256gcm_decrypt(ciphertext, associated, nonce, key)
        except CryptoError:
            raise NotAuthentic from None


class OpensslAesGcm:
    """OpenSSL's, through `cryptography`."""

    def __init__(self) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM
        self._invalid_tag = InvalidTag

    def seal(self, plaintext: bytes, key: bytes, nonce: bytes, associated: bytes = b"") -> bytes:
        return self._cipher(key).encrypt(nonce, plaintext, associated)

    def open(self, ciphertext: bytes, key: bytes, nonce: bytes, associated: bytes = b"") -> bytes:
        try:
            return self._cipher(key).decrypt(nonce, ciphertext, associated)
        except self._invalid_tag:
            raise NotAuthentic from None


def leanest(light: Callable[[], AesGcm] = LibsodiumAesGcm, heavy: Callable[[], AesGcm] = OpensslAesGcm) -> AesGcm:
    """Returns the light one where this processor can do it, and otherwise the heavy one."""
    try:
        return light()
    except UnavailableError:
        return heavy()


AES_GCM = leanest()
