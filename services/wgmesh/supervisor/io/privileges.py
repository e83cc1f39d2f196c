"""Who runs as whom: from a child's identity to a process that has only what it needs."""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wgmesh.supervisor.io import capabilities
from wgmesh.supervisor.io.wakeup import signals_held_back
from wgmesh.supervisor.settings import MESH_GROUP, MESH_USER, WIREGUARD_USER, Capability, Identity

# Where the users do not exist, these numbers stand in for them: nothing has to be created on the host. They lie in the
# range that distributions leave to systemd for users that exist only while a service runs (61184-65519, DynamicUser=
# in systemd.exec(5)), so no person and no package owns files under them.
FALLBACK_IDS: Mapping[str, int] = {MESH_USER: 65371, WIREGUARD_USER: 65372}
FALLBACK_GROUP_ID = 65371

CHILD_UMASK = 0o007  # the group wgmesh may call sockets; others get nothing


@dataclass(frozen=True, slots=True)
class Account:
    """The numbers behind an identity."""

    uid: int
    gid: int
    capabilities: frozenset[Capability]


def account_of(identity: Identity) -> Account:
    """Looks an identity up in the user database; a user that is not there gets its fixed number."""
    try:
        uid = pwd.getpwnam(identity.user).pw_uid
    except KeyError:
        uid = FALLBACK_IDS[identity.user]
    return Account(uid, group_id(), identity.capabilities)


def group_id() -> int:
    """Returns the group that all children share."""
    try:
        return grp.getgrnam(MESH_GROUP).gr_gid
    except KeyError:
        return FALLBACK_GROUP_ID


def become(account: Account) -> None:
    """Turns this process, which is root, into `account` for good. Raises OSError; the process must then end.

    The order matters: what needs root's capabilities comes first, what takes them away last.
    """
    os.setgroups(())
    capabilities.drop_bounding(account.capabilities)
    capabilities.keep_permitted_across_user_change()
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    capabilities.set_capabilities(account.capabilities)
    capabilities.forbid_new_privileges()


def obstacle(account: Account, needed: Iterable[tuple[Path, int]]) -> str:
    """Tries `account` in a process of its own and returns what stands in the way, or "" if nothing does.

    `needed` are paths with the os.access mode that the account must have on them.
    """
    paths = tuple(needed)
    reading, writing = os.pipe()
    with signals_held_back():
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writing, json.dumps(_try(account, paths)).encode())
            finally:
                os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return str(json.loads(answer)) if answer else "the trial process was killed"


def _try(account: Account, paths: Sequence[tuple[Path, int]]) -> str:
    try:
        become(account)
    except OSError as error:
        return str(error.strerror)
    for path, mode in paths:
        if not os.access(path, mode):
            return f"user {account.uid} may not use {path}"
    return ""
