"""Who runs as whom: from a child's identity to a process that has only what it needs."""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wgmesh.supervisor.io import capabilities
from wgmesh.supervisor.io.wakeup import signals_held_back
from wgmesh.supervisor.settings import SHARED_USER, STATE_GROUP, Capability, Identity

# Where the users do not exist, these numbers stand in for them: nothing has to be created on the host. They lie in the
# range that distributions leave to systemd for users that exist only while a service runs (61184-65519, DynamicUser=
# in systemd.exec(5)), so no person and no package owns files under them. A user's own group has the same number.
FALLBACK_IDS: Mapping[str, int] = {
    SHARED_USER: 65371,
    "wgmesh-wg": 65372,
    "wgmesh-discovery": 65373,
    "wgmesh-nat": 65374,
    "wgmesh-node": 65375,
    "wgmesh-metrics": 65376,
    STATE_GROUP: 65377,
}

CHILD_UMASK = 0o077  # what a child makes is its own; what others may call gets its mode by name


@dataclass(frozen=True, slots=True)
class Account:
    """The numbers behind an identity. `groups` are those beside its own."""

    uid: int
    gid: int
    capabilities: frozenset[Capability]
    groups: tuple[int, ...] = ()


def account_of(identity: Identity) -> Account:
    """Looks an identity up in the databases; a user or group that is not there gets its fixed number.

    Its group is the one of the same name, never the primary group of the user database: that may be shared, and who
    shares it could call what only this user may call.
    """
    groups = (group_id(STATE_GROUP),) if identity.keeps_state else ()
    return Account(user_id(identity.user), group_id(identity.user), identity.capabilities, groups)


def user_id(name: str) -> int:
    """Returns the number of one of our users."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return FALLBACK_IDS[name]


def group_id(name: str) -> int:
    """Returns the number of one of our groups."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return FALLBACK_IDS[name]


def become(account: Account) -> None:
    """Turns this process, which is root, into `account` for good. Raises OSError; the process must then end.

    The order matters: what needs root's capabilities comes first, what takes them away last.
    """
    os.setgroups(account.groups)
    capabilities.drop_bounding(account.capabilities)
    capabilities.keep_permitted_across_user_change()
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    capabilities.set_capabilities(account.capabilities)
    capabilities.forbid_new_privileges()


Needed = Sequence[tuple[Path, int]]
"""Paths with the os.access mode that an account must have on them."""


def obstacle(account: Account, needed: Needed, others: Mapping[Account, Needed] | None = None) -> str:
    """Tries `account` in a process of its own and returns what stands in the way, or "" if nothing does.

    `others` are tried before in the same process, as far as paths go: a fork costs more than all the rest.
    """
    reading, writing = os.pipe()
    with signals_held_back():
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writing, json.dumps(_try(account, needed, others or {})).encode())
            finally:
                os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return str(json.loads(answer)) if answer else "the trial process was killed"


def _try(account: Account, needed: Needed, others: Mapping[Account, Needed]) -> str:
    try:
        for other, paths in others.items():
            with _acting_as(other):
                if reason := _closed(other, paths):
                    return reason
        become(account)
    except OSError as error:
        return str(error.strerror)
    return _closed(account, needed)


@contextmanager
def _acting_as(account: Account) -> Iterator[None]:
    """Has the effective rights of an account, without its capabilities, while the context is open."""
    before = os.geteuid(), os.getegid(), os.getgroups()
    os.setgroups(account.groups)
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])
        os.setgroups(before[2])


def _closed(account: Account, paths: Needed) -> str:
    for path, mode in paths:
        if not os.access(path, mode, effective_ids=True):
            above = reversed(path.parents)
            closed = next((each for each in above if not os.access(each, os.X_OK, effective_ids=True)), None)
            return f"user {account.uid} may not use {path}" + (f", since {closed} is closed to it" if closed else "")
    return ""
