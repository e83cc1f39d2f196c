"""The run directory of a node that runs: somebody may delete it, or a part of it, and then it is made again.

A process whose socket is gone serves those who are connected, and nobody else ever again. So it is replaced: a new one
makes its socket, and its death harms no tunnel.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Mapping

from wgmesh.core.errors import MeshError
from wgmesh.runtime.callers import CALLERS, socket_path
from wgmesh.supervisor.io import directories, lock, sockets
from wgmesh.supervisor.io.privileges import Account
from wgmesh.supervisor.settings import SupervisorSettings


class RunDirectory:
    """Looks after the directory. `problem` is why a part of it cannot be made again, or ""."""

    def __init__(self, settings: SupervisorSettings, accounts: Mapping[str, Account | None], lock_held: int) -> None:
        self._settings = settings
        self._accounts = accounts
        self._lock = lock_held
        # as texts, and once: to put paths together costs more than to look at them, each second
        self._lock_path = os.fspath(lock.path_in(settings.interface_dir))
        self._link = os.fspath(settings.control_path), sockets.control_target(settings)
        self._sockets = {
            name: [os.fspath(socket_path(settings.interface_dir, name, caller)) for caller in CALLERS[name]]
            for name in accounts
        }
        self.problem = ""
        self.was_made_again = False

    def restore(self, serving: Collection[str]) -> tuple[str, ...]:
        """Makes again what is missing, and returns those of `serving` whose sockets are gone."""
        self.was_made_again = False
        lost = tuple(name for name in self._accounts if not self._is_whole(name, name in serving))
        if not lost and self._is_locked() and self._is_published():
            self.problem = ""
            return ()
        try:
            self._make_again(lost)
        except (MeshError, OSError) as error:
            self.problem = str(error)
            return ()
        self.problem = ""
        self.was_made_again = True
        return tuple(name for name in lost if name in serving)

    def _make_again(self, lost: Collection[str]) -> None:
        directory = self._settings.interface_dir
        directories.claim_run(self._settings.runtime_dir, directory)
        if not self._is_locked():
            lock.renew(directory, self._settings.interface, self._lock)
        sockets.make(directory, self._accounts, lost)
        if not self._is_published():
            sockets.publish(self._settings)

    def _is_whole(self, service: str, is_serving: bool) -> bool:
        if is_serving:
            return all(_is(stat.S_ISSOCK, path) for path in self._sockets[service])
        return all(_is(stat.S_ISDIR, os.path.dirname(path)) for path in self._sockets[service])

    def _is_locked(self) -> bool:
        try:
            seen = os.lstat(self._lock_path)
        except OSError:
            return False
        return os.path.samestat(seen, os.fstat(self._lock))

    def _is_published(self) -> bool:
        path, target = self._link
        try:
            return os.readlink(path) == target
        except OSError:
            return False


def _is(kind: Callable[[int], bool], path: str) -> bool:
    try:
        return kind(os.lstat(path).st_mode)
    except OSError:
        return False
