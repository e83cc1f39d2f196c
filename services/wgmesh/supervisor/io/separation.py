"""Each child as its own user, with only its capabilities, or not at all.

A supervisor that is root starts no child before it has tried, as each of these users, what they need. Where one of
them cannot reach the program or its directories the node does not start, unless the operator has said that it may run
as a single user: then all are root's user, each with only its capabilities, or as the supervisor itself where the
kernel refuses even that. An ordinary user's supervisor can give its children nobody else's rights.

What is not separated is said in a log line, in the status and in a metric.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from wgmesh.core.errors import PermissionDenied
from wgmesh.runtime import logs
from wgmesh.supervisor.io import sockets, state, wireguard_access
from wgmesh.supervisor.io.privileges import Account, account_of, obstacle
from wgmesh.supervisor.io.wireguard_access import Access
from wgmesh.supervisor.settings import IDENTITIES, ChildSpec, SupervisorSettings

Accounts = Mapping[str, Account | None]

READABLE = os.R_OK | os.X_OK
WRITABLE = os.R_OK | os.W_OK | os.X_OK
PASSABLE = os.X_OK
REMEDY = (
    "Every user must be able to read the program, so install it outside of home directories, as in /opt, and to pass "
    "to --state-dir and --runtime-dir."
)
ROOT = Account(0, 0, frozenset())


@dataclass(frozen=True, slots=True)
class Separation:
    """Whom each child runs as; None is the supervisor itself. `descriptors` are held open, and not for children."""

    accounts: Accounts
    descriptors: tuple[int, ...] = ()


@contextmanager
def strictest(children: Sequence[ChildSpec], settings: SupervisorSettings) -> Iterator[Separation]:
    """Prepares the host and yields whom each child runs as.

    Raises PermissionDenied where root cannot separate the children and was not told to run them as one user.
    """
    log = logs.logger()
    names = {child.name: account_of(child.identity) for child in children}
    alone: Accounts = dict.fromkeys(names)
    if os.geteuid() != 0:
        log.info("privileges not separated", reason="not started as root")
        sockets.make(settings.interface_dir, alone)
        yield Separation(alone)
        return
    with ExitStack() as undo:
        if not settings.single_user:
            state.claim(settings.state_dir)
            access = _try(names, settings, undo)
            if access.obstacle:
                raise PermissionDenied(_refusal(access))
            yield Separation(names, access.descriptors)
            return
        stripped = {name: replace(account, uid=0, gid=0, groups=()) for name, account in names.items()}
        access = _try(stripped, settings, undo)
        if not access.obstacle:
            log.warning("children share user 0", reason="--insecure-single-user")
            yield Separation(stripped, access.descriptors)
            return
        log.warning("privileges not separated", reason=access.obstacle)
        sockets.make(settings.interface_dir, alone)
        state.take_over(settings.state_dir, settings.interface, ROOT, ROOT)
        yield Separation(alone)


def _refusal(access: Access) -> str:
    return (
        f"The processes of this node cannot run as users of their own: {access.obstacle}. {access.remedy} "
        "With --insecure-single-user the node runs without; then a process that is taken over has the private key and "
        "all that the others have."
    )


def _try(accounts: Mapping[str, Account], settings: SupervisorSettings, undo: ExitStack) -> Access:
    """Prepares directories and devices for these accounts and returns what stands in the way, if anything."""
    wireguard = accounts.get("wireguard", account_of(IDENTITIES["wireguard"]))
    discovery = accounts.get("discovery", account_of(IDENTITIES["discovery"]))
    sockets.make(settings.interface_dir, accounts)
    if reason := _first_obstacle(accounts, settings):
        return Access(reason, remedy=REMEDY)
    access = Access()
    with ExitStack() as granting:
        if "wireguard" in accounts:
            access = granting.enter_context(wireguard_access.granted(wireguard, settings))
        if access.obstacle:
            return access
        undo.push(granting.pop_all())
    state.take_over(settings.state_dir, settings.interface, wireguard, discovery)
    return access


def _first_obstacle(accounts: Mapping[str, Account], settings: SupervisorSettings) -> str:
    # children import and execute after the fork as well
    program = [Path(entry) for entry in sys.path if os.path.isabs(entry) and os.path.exists(entry)]
    common = [(path, READABLE if path.is_dir() else os.R_OK) for path in program]
    common.append((settings.interface_dir, PASSABLE))
    needed: dict[Account, int] = {}
    for name, account in accounts.items():
        mode = WRITABLE if IDENTITIES[name].keeps_state else PASSABLE
        needed[account] = needed.get(account, 0) | mode
    trials = {account: (*common, (settings.state_dir, mode)) for account, mode in needed.items()}
    # What a kernel can refuse is the capabilities, and those that have none are tried beside the first that has.
    capable = [account for account in trials if account.capabilities] or list(trials)[:1]
    others = {account: paths for account, paths in trials.items() if account not in capable}
    for account in capable:
        if reason := obstacle(account, trials[account], others):
            return reason
        others = {}
    return ""
