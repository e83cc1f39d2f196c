"""The mesh secret on its way to the processes that need it: a sealed file in memory, and no heap that others inherit.

A node's processes are forked from one, so whatever lies in its memory lies in all of them. The secret therefore never
does. It lies in a file without a name (memfd_create(2)), which no path leads to and no disk holds; the kernel shows it
to those that hold its descriptor. Each process takes it, or closes the descriptor, before it does anything else.
"""

from __future__ import annotations

import os
from typing import Self

from wgmesh.core.keys.secret import Secret
from wgmesh.runtime import memory_file

_VERSION_END = b"\0"  # a version with one in it, which only a file can have, is unknown without it too


class SealedSecret:
    """One descriptor of the file. It is closed on exec, so no program that a process starts has it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def empty(cls) -> Self:
        """Makes the file, for another process to `put` the secret in. Raises NotSupported."""
        return cls(memory_file.create())

    @classmethod
    def of(cls, secret: Secret) -> Self:
        """Makes the file with the secret in it. Raises NotSupported."""
        sealed = cls.empty()
        sealed.put(secret)
        return sealed

    def put(self, secret: Secret) -> None:
        """Writes the secret and seals the file: nobody can change it any more."""
        version = "" if secret.uri_version is None else f"/{secret.uri_version}"
        head = version.encode("utf-8", "surrogateescape").replace(_VERSION_END, b"")
        memory_file.fill(self._descriptor, head + _VERSION_END + secret.reveal_bytes())

    def take(self) -> Secret:
        """Returns the secret and closes the descriptor."""
        # at an offset of its own: the processes share the one of the descriptor
        data = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        self.close()
        version, _, text = (part.decode("utf-8", "surrogateescape") for part in data.partition(_VERSION_END))
        return Secret(text, version.removeprefix("/") if version else None)

    def close(self) -> None:
        os.close(self._descriptor)
