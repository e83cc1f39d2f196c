"""Finds the strictest way to run the children that this host allows.

1. Each child as its own user with only its capabilities.
2. All as root's user, each with only its capabilities: where another user could not reach the program or the state,
   for example below a home directory, or could not use what userspace WireGuard needs.
3. All as the supervisor itself: not started as root, or the kernel refuses.

What is not the first is said in one log line and is never a reason to fail.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from wgmesh.runtime import logs
from wgmesh.supervisor.io import directories, wireguard_access
from wgmesh.supervisor.io.privileges import Account, account_of, obstacle
from wgmesh.supervisor.settings import IDENTITIES, ChildSpec, SupervisorSettings

Accounts = Mapping[str, Account | None]

READABLE = os.R_OK | os.X_OK
WRITABLE = os.R_OK | os.W_OK | os.X_OK


@contextmanager
def accounts_for(children: Sequence[ChildSpec], settings: SupervisorSettings) -> Iterator[Accounts]:
    """Prepares the host and yields whom each child runs as; None is the supervisor itself."""
    log = logs.logger()
    if os.geteuid() != 0:
        log.info("privileges not separated", reason="not started as root")
        yield {child.name: None for child in children}
        return
    names = {child.name: account_of(child.identity) for child in children}
    with ExitStack() as undo:
        reason = _try(names, settings, undo)
        if not reason:
            yield names
            return
        stripped = {name: replace(account, uid=0, gid=0) for name, account in names.items()}
        if not (refusal := _try(stripped, settings, undo)):
            log.warning("children share user 0", reason=reason)
            yield stripped
            return
        log.warning("privileges not separated", reason=refusal)
        yield {child.name: None for child in children}


def _try(accounts: Mapping[str, Account], settings: SupervisorSettings, undo: ExitStack) -> str:
    """Prepares directories and devices for these accounts and returns what stands in the way, or ""."""
    wireguard = accounts.get("wireguard", account_of(IDENTITIES["wireguard"]))
    group = account_of(IDENTITIES["node"]).gid
    for directory in (settings.state_dir, settings.interface_dir):
        directories.share(directory, group)
    if reason := _first_obstacle(accounts.values(), _needed(settings)):
        return reason
    with ExitStack() as granting:
        if "wireguard" in accounts and (
            reason := granting.enter_context(wireguard_access.granted(wireguard, settings))
        ):
            return reason
        undo.push(granting.pop_all())
    mesh = next((account for account in accounts.values() if account.uid != wireguard.uid), wireguard)
    directories.hand_over_state(settings.state_dir, settings.interface, wireguard, mesh)
    return ""


def _first_obstacle(accounts: Iterable[Account], needed: Sequence[tuple[Path, int]]) -> str:
    return next((reason for account in dict.fromkeys(accounts) if (reason := obstacle(account, needed))), "")


def _needed(settings: SupervisorSettings) -> tuple[tuple[Path, int], ...]:
    # children import and execute after the fork as well
    program = (Path(entry) for entry in sys.path if os.path.isabs(entry) and os.path.exists(entry))
    return (
        *((path, READABLE if path.is_dir() else os.R_OK) for path in program),
        *((path, WRITABLE) for path in (settings.state_dir, settings.interface_dir, *settings.writable_dirs)),
    )
