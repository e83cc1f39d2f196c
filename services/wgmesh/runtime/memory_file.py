"""Sealed files in memory (memfd_create(2)): what one process hands to another without a name and without a disk.

It loads next to nothing, since a call with a secret in it waits for it before it is started again.
"""

from __future__ import annotations

import fcntl
import os

from wgmesh.core.errors import NotSupported

NAME = "wgmesh-secret"  # shown in /proc/PID/fd
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
MFD_NOEXEC_SEAL = 0x0008  # linux/memfd.h; Python has no name for it. A kernel may insist on it (vm.memfd_noexec)
OWNER_ONLY = 0o600


def create() -> int:
    """Returns a new file in memory that can be sealed, for its owner alone. Raises NotSupported."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        try:
            descriptor = os.memfd_create(NAME, flags | MFD_NOEXEC_SEAL)
        except OSError:  # a kernel before 6.3 does not know that flag
            descriptor = os.memfd_create(NAME, flags)
        os.fchmod(descriptor, OWNER_ONLY)
    except OSError as error:
        raise NotSupported(
            f"the kernel makes no file in memory for the secret ({error.strerror}); wgmesh needs memfd_create"
        ) from None
    return descriptor


def fill(descriptor: int, data: bytes) -> None:
    """Writes all of `data` into a memory file and seals it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
