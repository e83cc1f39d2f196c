"""What userspace WireGuard needs of the host: a directory for its control socket and the TUN device.

Both belong to root on most hosts. Where the wireguard process cannot use them as they are, its user gets an entry in
their access control list. That leaves owner, group and everybody else's access as they were.

All nodes that see the same directory or device share the entry, whatever network, mounts or run directory they have.
So each of them holds a shared lock while it runs, and the entry is taken back by the one that can have the lock for
itself: the last that ends. The kernel lets go of the lock of a node that is killed; what it left, a later one takes
back.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wgmesh.supervisor import access_list
from wgmesh.supervisor.io import socket_owner
from wgmesh.supervisor.io.privileges import Account, account_of, group_id, obstacle
from wgmesh.supervisor.io.socket_owner import Owner
from wgmesh.supervisor.settings import CONTROL_GROUP, IDENTITIES, SupervisorSettings

SOCKET_DIRECTORY = Path("/run/wireguard")  # compiled into wireguard-go and wg
TUN_DEVICE = Path("/dev/net/tun")

LOCK_TIMEOUT_S = 5.0  # a node that ends holds it for less than a millisecond, unless it is stopped or frozen there
LOCK_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Shared:
    """A file of the host that nodes share. `mode` is what os.access must allow, `lock` where users are counted."""

    path: Path
    mode: int
    lock: Path


SHARED = (
    # a file in it, and not the directory itself: everybody may read that, and so lock it and keep nodes from starting
    Shared(SOCKET_DIRECTORY, os.R_OK | os.W_OK | os.X_OK, SOCKET_DIRECTORY / "wgmesh.lock"),
    # itself: it can be mounted alone, without the directory around it, and who may not use it cannot lock it
    Shared(TUN_DEVICE, os.R_OK | os.W_OK, TUN_DEVICE),
)


@dataclass(frozen=True, slots=True)
class Access:
    """What the account still lacks, or "", and the descriptors that hold the locks, which are not for children.

    `remedy` is what the operator can do about it, as a sentence.
    """

    obstacle: str = ""
    descriptors: tuple[int, ...] = ()
    remedy: str = ""


@contextmanager
def granted(account: Account, settings: SupervisorSettings) -> Iterator[Access]:
    """Gives the account what it needs while the context is open."""
    _make_socket_directory()
    needed: list[Shared] = []
    descriptors: list[int] = []
    with ExitStack() as undo:
        for shared in SHARED:
            undo.callback(_take_back, shared)
        for shared in SHARED:
            if shared.path.exists() and not _is_open_to(shared.path, shared.mode, account):
                try:
                    descriptor = undo.enter_context(_opened(shared))
                except OSError:  # what root cannot open is of no use to the wireguard process either
                    continue
                if not _lock(descriptor):
                    remedy = "Find it with `fuser`, and end it."
                    yield Access(f"{shared.lock} is locked by another program", remedy=remedy)
                    return
                descriptors.append(descriptor)
                _allow(shared, account)
            needed.append(shared)
        _hand_over_socket(
            SOCKET_DIRECTORY / f"{settings.interface}.sock", settings.state_dir / f"{settings.interface}.json", account
        )
        present = [(shared.path, shared.mode) for shared in needed if shared.path.exists()]
        remedy = f"Userspace WireGuard needs it: `setfacl -m u:{account.uid}:rwX` gives it to that user."
        yield Access(obstacle(account, present), tuple(descriptors), remedy)


def _make_socket_directory() -> None:
    # It stays at the end, as wireguard-go leaves its own: another program may be about to put its socket there.
    with suppress(OSError):  # it exists, or cannot exist: the trial tells which
        SOCKET_DIRECTORY.mkdir(mode=0o755)


def _is_open_to(path: Path, mode: int, account: Account) -> bool:
    """Whether no entry is needed. An entry of ours does not count, since it changes no bit that is looked at."""
    status = path.stat()
    return status.st_mode & mode == mode or status.st_uid == account.uid


@contextmanager
def _opened(shared: Shared) -> Iterator[int]:
    creation = 0 if shared.lock == shared.path else os.O_CREAT
    # O_NONBLOCK: a FIFO in the way must not hold up the start
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | creation
    descriptor = os.open(shared.lock, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Counts this node among the users. It waits for one that is taking the entry back."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOCK_POLL_S)
        else:
            return True


def _allow(shared: Shared, account: Account) -> None:
    if not obstacle(account, [(shared.path, shared.mode)]):
        return
    with suppress(OSError):  # a file system without lists, or read-only: the trial tells
        # The mode before the list: a list that another node makes in between changes the mode, and is found then.
        mode = shared.path.stat().st_mode
        if access_list.ATTRIBUTE not in os.listxattr(shared.path):  # somebody else's list is not ours to rewrite
            data = access_list.extended(mode, account.uid, shared.mode, group_id(CONTROL_GROUP))
            os.setxattr(shared.path, access_list.ATTRIBUTE, data)


def _take_back(shared: Shared) -> None:
    if _our_list(shared.path) is None:  # looked at first: to open a TUN device loads its driver
        return
    # refused while another node counts; or the host has become read-only: a later node will try
    with suppress(OSError), _opened(shared) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (data := _our_list(shared.path)) is not None:
            os.setxattr(shared.path, access_list.ATTRIBUTE, access_list.reduced(data, *_marks()))


def _our_list(path: Path) -> bytes | None:
    try:
        data = os.getxattr(path, access_list.ATTRIBUTE)
    except OSError:  # no list, or no such path
        return None
    return data if access_list.is_ours(data, *_marks()) else None


def _marks() -> tuple[int, int]:
    return account_of(IDENTITIES["wireguard"]).uid, group_id(CONTROL_GROUP)


def _hand_over_socket(path: Path, identity: Path, account: Account) -> None:
    """Gives the wireguard process the socket of our own device that an earlier life had as another user, or a leftover.

    A program watches its socket, and ends as soon as anything about the file changes, its owner too. So that of others
    is left as it is, and the wireguard process refuses the interface; ours ends, and is started again.
    """
    with suppress(OSError):
        status = path.lstat()
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid == account.uid:
            return
        if socket_owner.owner(path, identity) is not Owner.OTHERS:
            os.chown(path, account.uid, -1, follow_symlinks=False)
