"""The kernel's calls for capabilities and process control, by ctypes: three calls are no reason for a dependency."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterable

from wgmesh.supervisor.settings import Capability

# linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

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


def name_process(name: str) -> None:
    """Sets the name that `ps` and `top` show; the kernel cuts it after 15 bytes. Raises OSError."""
    if _libc.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0) != 0:
        raise _last_error("PR_SET_NAME")


def drop_bounding(keep: Iterable[Capability]) -> None:
    """Makes all other capabilities unreachable for this process and whatever it executes. Raises OSError."""
    kept = frozenset(keep)
    for number in range(CAPABILITY_LIMIT):
        if number not in kept and _libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1:
            _prctl(PR_CAPBSET_DROP, number)


def keep_permitted_across_user_change() -> None:
    """Raises OSError."""
    _prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NOROOT | SECBIT_NOROOT_LOCKED)


def set_capabilities(capabilities: Iterable[Capability]) -> None:
    """Sets permitted, effective, inheritable and ambient to exactly these. Raises OSError.

    Ambient, so that a program which the process executes (nft, wireguard-go) has them too.
    """
    kept = tuple(capabilities)
    mask = sum(1 << number for number in kept)
    header = _Header(CAPABILITY_VERSION_3, 0)
    data = (_Data * 2)(*(_Data(word, word, word) for word in (mask & 0xFFFFFFFF, mask >> 32)))
    if _libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        raise _last_error("capset")
    _prctl(PR_SET_KEEPCAPS, 0)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for number in kept:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def forbid_new_privileges() -> None:
    """No program that this process executes can gain privileges, whatever its file says. Raises OSError."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _prctl(option: int, first: int = 0, second: int = 0) -> None:
    # the kernel reads five words; ctypes passes int as 32 bits unless told otherwise
    words = (ctypes.c_ulong(word) for word in (first, second, 0, 0))
    if _libc.prctl(option, *words) != 0:
        raise _last_error(f"prctl {option}")


def _last_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
