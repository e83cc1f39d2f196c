"""What userspace WireGuard needs of the host: a directory for its control socket and the TUN device.

Both belong to root on most hosts. Where the wireguard process cannot use them as they are, its user gets an entry in
their access control list. That leaves owner, group and everybody else's access as they were, and is taken back by
the last node that ends; after a kill, by a later one.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from wgmesh.supervisor.io import lock
from wgmesh.supervisor.io.privileges import Account, account_of, obstacle
from wgmesh.supervisor.settings import IDENTITIES, SupervisorSettings

SOCKET_DIRECTORY = Path("/run/wireguard")  # compiled into wireguard-go and wg
TUN_DEVICE = Path("/dev/net/tun")
NEEDED = ((SOCKET_DIRECTORY, os.R_OK | os.W_OK | os.X_OK), (TUN_DEVICE, os.R_OK | os.W_OK))

ACL_ATTRIBUTE = "system.posix_acl_access"
ACL_VERSION = 2  # linux/posix_acl_xattr.h
ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER = 0x01, 0x02, 0x04, 0x10, 0x20  # linux/posix_acl.h
ACL_NO_ID = 0xFFFFFFFF
ACL_ENTRY = struct.Struct("<HHI")  # tag, permissions, id


@contextmanager
def granted(account: Account, settings: SupervisorSettings) -> Iterator[str]:
    """Gives the account what it needs while the context is open; yields what it still lacks, or ""."""
    with ExitStack() as undo:
        is_ours = _make_socket_directory()
        undo.callback(_leave, settings, is_ours)
        for path, mode in NEEDED:
            if path.exists():
                _allow(path, account, mode)
        _hand_over_socket(SOCKET_DIRECTORY / f"{settings.interface}.sock", account)
        yield obstacle(account, [(path, mode) for path, mode in NEEDED if path.exists()])


def _make_socket_directory() -> bool:
    try:
        SOCKET_DIRECTORY.mkdir(mode=0o755)
    except OSError:  # it exists, or cannot exist: the trial tells which
        return False
    return True


def _leave(settings: SupervisorSettings, is_ours: bool) -> None:
    if lock.is_any_other_held(settings.runtime_dir, settings.interface):
        return
    for path, _ in NEEDED:
        with suppress(OSError):  # no list, or no such path
            if _single_user(os.getxattr(path, ACL_ATTRIBUTE)) == account_of(IDENTITIES["wireguard"]).uid:
                _disallow(path)
    if is_ours:
        with suppress(OSError):  # not empty: a device that is kept has its socket there
            SOCKET_DIRECTORY.rmdir()


def _hand_over_socket(path: Path, account: Account) -> None:
    # a device that is adopted may have been started while the wireguard process ran as somebody else
    with suppress(OSError):
        status = path.lstat()
        if stat.S_ISSOCK(status.st_mode) and status.st_uid != account.uid:
            os.chown(path, account.uid, -1, follow_symlinks=False)


def _allow(path: Path, account: Account, mode: int) -> None:
    if not obstacle(account, [(path, mode)]):
        return
    with suppress(OSError):  # a file system without lists, or read-only: the trial tells
        if ACL_ATTRIBUTE not in os.listxattr(path):  # somebody else's list is not ours to rewrite
            os.setxattr(path, ACL_ATTRIBUTE, _list_for(account.uid, mode, os.stat(path).st_mode))


def _disallow(path: Path) -> None:
    before = {tag: permissions for tag, permissions, _ in _entries(os.getxattr(path, ACL_ATTRIBUTE))}
    os.removexattr(path, ACL_ATTRIBUTE)
    # the mask of the list has taken the place of the bits of the group
    special = os.stat(path).st_mode & 0o7000
    os.chmod(path, special | before[ACL_USER_OBJ] << 6 | before[ACL_GROUP_OBJ] << 3 | before[ACL_OTHER])


def _list_for(uid: int, permissions: int, mode: int) -> bytes:
    group = mode >> 3 & 7
    entries = (
        (ACL_USER_OBJ, mode >> 6 & 7, ACL_NO_ID),
        (ACL_USER, permissions, uid),
        (ACL_GROUP_OBJ, group, ACL_NO_ID),
        (ACL_MASK, group | permissions, ACL_NO_ID),
        (ACL_OTHER, mode & 7, ACL_NO_ID),
    )
    return struct.pack("<I", ACL_VERSION) + b"".join(ACL_ENTRY.pack(*entry) for entry in entries)


def _entries(attribute: bytes) -> list[tuple[int, int, int]]:
    return [(tag, permissions, name) for tag, permissions, name in ACL_ENTRY.iter_unpack(attribute[4:])]


def _single_user(attribute: bytes) -> int | None:
    """Returns the user of a list that names one user and nobody else, as ours do."""
    named = [
        (tag, name)
        for tag, _, name in _entries(attribute)
        if tag not in (ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER)
    ]
    return named[0][1] if len(named) == 1 and named[0][0] == ACL_USER else None
