"""POSIX access control lists, as far as one user's access to one file needs them.

A list of ours names the user, and our group with what everybody may do. The second entry changes nobody's access: it
marks the list as ours, since an administrator can have given the user the same by hand.
"""

from __future__ import annotations

import struct

ATTRIBUTE = "system.posix_acl_access"

# specification
VERSION = 2  # linux/posix_acl_xattr.h
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20  # linux/posix_acl.h
NO_ID = 0xFFFFFFFF
ENTRY = struct.Struct("<HHI")  # tag, permissions, id
HEADER = struct.Struct("<I")

Entry = tuple[int, int, int]


def extended(mode: int, uid: int, permissions: int, gid: int) -> bytes:
    """Returns a list of ours for a file of this mode that has no list."""
    owner, group, other = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    return _pack(
        (
            (USER_OBJ, owner, NO_ID),
            (USER, permissions, uid),
            (GROUP_OBJ, group, NO_ID),
            (GROUP, other, gid),
            (MASK, group | permissions | other, NO_ID),
            (OTHER, other, NO_ID),
        )
    )


def is_ours(data: bytes, uid: int, gid: int) -> bool:
    """Returns whether the list names the user and bears our mark."""
    return {(USER, uid), (GROUP, gid)} <= {(tag, name) for tag, _, name in _entries(data)}


def reduced(data: bytes, uid: int, gid: int) -> bytes:
    """Returns a list of ours without our entries. Where no other is left, the kernel makes the mode of before of it."""
    left = [entry for entry in _entries(data) if (entry[0], entry[2]) not in ((USER, uid), (GROUP, gid))]
    if not any(tag in (USER, GROUP) for tag, _, _ in left):
        left = [entry for entry in left if entry[0] != MASK]
    return _pack(left)


def _pack(entries: tuple[Entry, ...] | list[Entry]) -> bytes:
    return HEADER.pack(VERSION) + b"".join(ENTRY.pack(*entry) for entry in entries)


def _entries(data: bytes) -> list[Entry]:
    return list(ENTRY.iter_unpack(data[HEADER.size :]))
