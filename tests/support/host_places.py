"""What all nodes of a machine share, as a machine of its own for a test: /run, and the inode of the TUN device.

With them comes a network namespace, where the names of interfaces are those of the test alone.

/dev/net/tun is one inode for all namespaces. A test that looks at its access, or leaves it changed when it fails,
needs one that no other node of this machine uses.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

TUN_NUMBER = os.makedev(10, 200)  # Documentation/admin-guide/devices.txt of the kernel
_serial = count(1)


@dataclass(frozen=True, slots=True)
class HostPlaces:
    """A directory that is seen as /run, and a device that is seen as /dev/net/tun, or the machine's own.

    `beside` is a command that enters the network namespace of another process; without it there is a new one, unless
    `shares_network` says that who starts the command has seen to that.
    """

    run: Path
    tun: Path | None = None
    beside: tuple[str, ...] = ()
    shares_network: bool = False

    @property
    def sockets(self) -> Path:
        return self.run / "wireguard"

    def command(self) -> list[str]:
        """What stands before a command so that it runs with these places, in namespaces of its own."""
        tun = f'mount --bind "{self.tun}" /dev/net/tun && ' if self.tun else ""
        script = f'mount --bind "{self.run}" /run && {tun}exec "$@"'
        network = [] if self.beside or self.shares_network else ["--net"]
        return [*self.beside, "unshare", "--mount", *network, "sh", "-c", script, "sh"]


@contextmanager
def own_tun_device() -> Iterator[Path]:
    """Makes a TUN device that only root may use, as in many containers. It is gone at the end."""
    # in /dev, because /tmp and /run are often mounted without devices
    path = Path(f"/dev/wgmesh-test-{os.getpid()}-{next(_serial)}")
    os.mknod(path, stat.S_IFCHR | 0o600, TUN_NUMBER)
    try:
        yield path
    finally:
        path.unlink()
