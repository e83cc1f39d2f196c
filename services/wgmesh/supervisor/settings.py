"""What the supervisor is told: which children, in what dependence, as whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path


class Capability(IntEnum):
    """The Linux capabilities that a child may keep (capabilities(7), linux/capability.h)."""

    NET_ADMIN = 12
    NET_RAW = 13


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a child runs as when the supervisor is root: a user of its own and the only capabilities it has.

    `keeps_state` lets it create files in the state directory.
    """

    user: str
    capabilities: frozenset[Capability] = frozenset()
    keeps_state: bool = False


# One user each: a process that was taken over can signal, read, trace and starve its own kind alone.
IDENTITIES = {
    "wireguard": Identity("wgmesh-wg", frozenset({Capability.NET_ADMIN}), keeps_state=True),
    "discovery": Identity("wgmesh-discovery", keeps_state=True),
    "nat": Identity("wgmesh-nat", frozenset({Capability.NET_RAW})),
    "node": Identity("wgmesh-node"),
    "metrics": Identity("wgmesh-metrics"),
}
SHARED_USER = "wgmesh"  # discovery, nat, node and metrics of earlier versions: its files are taken over
CONTROL_GROUP = "wgmesh"  # may call the control socket, and nothing else; no process of a node is in it
STATE_GROUP = "wgmesh-state"  # may create files in the state directory: the processes that keep some, and nobody else


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child. `target` runs in a forked process, calls its argument once it serves, and returns the exit code.

    `requires` names the children that must be running before this one is started for the first time, and that are
    stopped only after it. `syscalls` is the filter of its system calls (io/syscall_filter.py), empty for none.
    `may_stop_node` is for the one that clients speak to: no other child may end the node.
    """

    name: str
    target: Callable[[Callable[[], None]], int]
    identity: Identity
    requires: frozenset[str] = frozenset()
    syscalls: bytes = field(default=b"", repr=False)
    may_stop_node: bool = False


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Where one node lives. `control_socket` is where clients look for it, `single_user` the operator's permission to
    run all children as one user.

    `unfiltered` says why no system calls are filtered, if so.
    """

    interface: str
    runtime_dir: Path
    state_dir: Path
    log_level: str = "info"
    log_format: str = "text"
    control_socket: Path | None = None
    single_user: bool = False
    unfiltered: str = ""

    @property
    def interface_dir(self) -> Path:
        """The directory of this interface's sockets and locks."""
        return self.runtime_dir / self.interface

    @property
    def control_path(self) -> Path:
        """Where clients look for the node."""
        return self.control_socket or self.interface_dir / "node.sock"
