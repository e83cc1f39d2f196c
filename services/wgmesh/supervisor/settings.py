"""What the supervisor is told: which children, in what dependence, as whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class Capability(IntEnum):
    """The Linux capabilities that a child may keep (capabilities(7), linux/capability.h)."""

    NET_ADMIN = 12
    NET_RAW = 13


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a child runs as when the supervisor is root: a user name and the only capabilities it has."""

    user: str
    capabilities: frozenset[Capability] = frozenset()


MESH_USER = "wgmesh"
WIREGUARD_USER = "wgmesh-wg"  # own user: processes that parse network packets must not be able to read the private key
MESH_GROUP = "wgmesh"  # the primary group of all children: it is what lets them call each other's sockets

UNPRIVILEGED = Identity(MESH_USER)
IDENTITIES = {
    "wireguard": Identity(WIREGUARD_USER, frozenset({Capability.NET_ADMIN})),
    "nat": Identity(MESH_USER, frozenset({Capability.NET_RAW})),
    "node": UNPRIVILEGED,
    "discovery": UNPRIVILEGED,
    "metrics": UNPRIVILEGED,
}


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child. `target` runs in a forked process, calls its argument once it serves, and returns the exit code.

    `requires` names the children that must be running before this one is started for the first time, and that are
    stopped only after it.
    """

    name: str
    target: Callable[[Callable[[], None]], int]
    requires: frozenset[str] = frozenset()
    identity: Identity = UNPRIVILEGED


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Where one node lives. `writable_dirs` are further directories that children must be able to write."""

    interface: str
    runtime_dir: Path
    state_dir: Path
    log_level: str = "info"
    log_format: str = "text"
    writable_dirs: tuple[Path, ...] = ()

    @property
    def interface_dir(self) -> Path:
        """The directory of this interface's sockets and locks."""
        return self.runtime_dir / self.interface
