"""The kernel's calls for capabilities and process control, by ctypes: three calls are no reason for a dependency."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Iterable

from wgmesh.supervisor.settings import Capability

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2

# linux/securebits.h
SECBIT_NOROOT = 1 << 0  # user id 0 and setuid programs give no capability
SECBIT_NOROOT_LOCKED = 1 << 1
SECBIT_KEEP_CAPS = 1 << 4  # keep the permitted set across the change of user

CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h: sets of 64 bits in two words
CAPABILITY_LIMIT = 64

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent ends. A change of user or group undoes it. Raises OSError."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def forbid_dumps() -> None:
    """Keeps this process's memory from files and from other processes of its user: no core, no ptrace. Raises OSError.

    Threads and forks inherit both; a change of user undoes the first, and so does exec. The limit then still holds.
    """
    _prctl(PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def name_process(name: str) -> None:
    """Sets the name that `ps` and `top` show; the kernel cuts it after 15 bytes. Raises OSError."""
    text = ctypes.create_string_buffer(name.encode())
    _prctl(PR_SET_NAME, ctypes.addressof(text))


def drop_bounding(keep: Iterable[Capability]) -> None:
    """Makes all other capabilities unreachable for this process and whatever it executes. Raises OSError."""
    kept = frozenset(keep)
    for number in range(CAPABILITY_LIMIT):
        if number not in kept and _libc.prctl(PR_CAPBSET_READ, ctypes.c_ulong(number)) == 1:
            _prctl(PR_CAPBSET_DROP, number)


def keep_permitted_across_user_change() -> None:
    """Raises OSError."""
    _prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NOROOT | SECBIT_NOROOT_LOCKED)


def set_capabilities(capabilities: Iterable[Capability]) -> None:
    """Sets permitted, effective, inheritable and ambient to exactly these. Raises OSError.

    Ambient, so that a program which the process executes (nft, wireguard-go) has them too.
    """
    kept = frozenset(capabilities)
    mask = sum(1 << number for number in kept)
    words = (mask & 0xFFFFFFFF, mask >> 32)
    header = _Header(CAPABILITY_VERSION_3)  # process 0: this thread
    data = (_Data * len(words))(*(_Data(word, word, word) for word in words))
    if _libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        raise _last_error("capset")
    _prctl(PR_SET_KEEPCAPS, 0)
    # Of the ambient set capset has taken what is not inheritable any more (capabilities(7)).
    for number in kept:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def forbid_new_privileges() -> None:
    """No program that this process executes can gain privileges, whatever its file says. Raises OSError."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def prctl_error(option: int, first: int, second: int = 0) -> int:
    """Makes the call and returns the number of its error, or 0."""
    # the kernel reads five words; ctypes passes int as 32 bits unless told otherwise
    words = (ctypes.c_ulong(word) for word in (first, second, 0, 0))
    return ctypes.get_errno() if _libc.prctl(option, *words) != 0 else 0


def _prctl(option: int, first: int, second: int = 0) -> None:
    if number := prctl_error(option, first, second):
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def _last_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
