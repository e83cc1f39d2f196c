"""The state directory: whose it is, and whose the files in it are.

It belongs to root with mode 01771 and the group of the processes that keep files: they can make some, the sticky bit
keeps each from replacing those of another, and nobody else can make any. Files of others are left alone.

The kind of `take_over`: a file counts only if root, or a user who has this role, owns it. Somebody who could write one
beforehand could otherwise choose the private key of this node, or empty its deny-list.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from wgmesh.core.errors import InvalidSetting, PermissionDenied
from wgmesh.core.settings import DEFAULT_STATE_DIR
from wgmesh.runtime import logs
from wgmesh.supervisor.io.privileges import Account, account_of, group_id, user_id
from wgmesh.supervisor.settings import IDENTITIES, SHARED_USER, STATE_GROUP

MODE = 0o1771  # the node passes to the reload file, and nobody but root can list
EARLIER_MODE = 0o1770
PRIVATE_MODE = 0o600
OWN_SUFFIXES = frozenset(
    {".creating", ".json", ".nodes", ".reload", ".tmp"}
)  # what wgmesh, also upstream's, leaves there
MOUNT_ENTRY = "lost+found"  # of a file system of its own
NAMES_SHOWN_MAX = 5

ROOT = 0
NAME_OF_MESH = "[0-9a-f]" * 16  # as glob; so that the private key of an interface with a dash in its name does not fit


def claim(directory: Path) -> None:
    """Gives the directory to root and the group that keeps state. What is foreign in it is said in a log line.

    Raises InvalidSetting, and leaves it as it is, for one that is not for wgmesh alone.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        foreign = sorted(entry.name for entry in os.scandir(descriptor) if not _is_own(entry))
        if not _is_claimed(os.fstat(descriptor)) and (reason := _objection(directory, descriptor)):
            raise InvalidSetting(
                "--state-dir",
                f"{directory} {reason}, so its owner and mode are left as they are, and the processes of a node cannot "
                f"keep files there. Name a directory for wgmesh alone, such as {directory / 'wgmesh'}.",
            )
        os.fchown(descriptor, ROOT, group_id(STATE_GROUP))
        os.fchmod(descriptor, MODE)
    finally:
        os.close(descriptor)
    if foreign:
        shown = ", ".join(foreign[:NAMES_SHOWN_MAX])
        log = logs.logger()
        log.info("foreign files left alone", path=str(directory), count=len(foreign), names=shown)


def _is_claimed(status: os.stat_result) -> bool:
    earlier = (group_id(SHARED_USER), EARLIER_MODE)
    marks = (status.st_gid, stat.S_IMODE(status.st_mode))
    return status.st_uid == ROOT and marks in (earlier, (group_id(STATE_GROUP), MODE))


def _objection(directory: Path, descriptor: int) -> str:
    """Why a directory is somebody else's, or "". Its files do not say that; an operator may have put some there."""
    ours = {user_id(SHARED_USER), *(account_of(identity).uid for identity in IDENTITIES.values())}
    path, status = directory.resolve(), os.fstat(descriptor)
    if status.st_uid not in ours | {ROOT}:
        return f"belongs to user {status.st_uid}"
    if status.st_mode & stat.S_IWOTH and status.st_mode & stat.S_ISVTX:
        return "is for everybody's files"
    if path == DEFAULT_STATE_DIR:
        return ""
    if path in homes(pwd.getpwall(), ours):
        return "is a home directory"
    others = sorted(entry.name for entry in os.scandir(descriptor) if _is_place(entry))
    return f"holds directories or links of others ({', '.join(others[:NAMES_SHOWN_MAX])})" if others else ""


def homes(users: Iterable[pwd.struct_passwd], ours: Collection[int]) -> set[Path]:
    """The home directories of a user database, without those of our own users."""
    return {Path(user.pw_dir) for user in users if user.pw_uid not in ours}


def _is_place(entry: os.DirEntry[str]) -> bool:
    return (entry.is_symlink() or entry.is_dir(follow_symlinks=False)) and entry.name != MOUNT_ENTRY


def _is_own(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and os.path.splitext(entry.name)[1] in OWN_SUFFIXES


def take_over(directory: Path, interface: str, wireguard: Account, discovery: Account) -> None:
    """Gives an interface's files to who keeps them, if their owners may have written them.

    Raises PermissionDenied for a private key or a deny-list of anybody else. A cache of anybody else is left alone, and
    who should read it does not either.
    """
    keyed = {ROOT, account_of(IDENTITIES["wireguard"]).uid}
    heard = {ROOT, account_of(IDENTITIES["discovery"]).uid, user_id(SHARED_USER)}
    _require(directory / f"{interface}.json", keyed, wireguard, "private key")
    _require(directory / f"{interface}-banned.json", heard, discovery, "deny-list")
    caches = [directory / f"{interface}-peers.json"]
    for ending in ("dht.nodes", "private-dht.json"):
        caches += sorted(directory.glob(f"{interface}-{NAME_OF_MESH}-{ending}"))
    log = logs.logger()
    for path in caches:
        if reason := _hand_over(path, heard, discovery):
            log.warning("file left alone", path=str(path), reason=reason)


def _require(path: Path, owners: Collection[int], account: Account, what: str) -> None:
    if reason := _hand_over(path, owners, account):
        raise PermissionDenied(
            f"The {what} {path} {reason}, who could have put it there, so it is not used. "
            "Remove it, or give it to root if it is yours."
        )


def _hand_over(path: Path, owners: Collection[int], account: Account) -> str:
    """Returns why not, or "". The owner is looked at in the opened file, before anything is changed."""
    try:
        # O_NONBLOCK: a FIFO in the way must not hold up the start
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # not there, or a link: the code that reads it will say what is wrong with it
        return ""
    try:
        status = os.fstat(descriptor)
        if status.st_uid not in owners:
            return f"belongs to user {status.st_uid}"
        # a second name could be a hard link that a child made of a file that is not ours
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            os.fchown(descriptor, account.uid, account.gid)
            os.fchmod(descriptor, PRIVATE_MODE)
    finally:
        os.close(descriptor)
    return ""
