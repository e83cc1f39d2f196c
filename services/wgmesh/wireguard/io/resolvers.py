"""The name servers that this host asks: no route into the mesh may lead the questions of the whole host to a member."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from wgmesh.core.model import IPAddress
from wgmesh.wireguard.name_servers import name_servers

# systemd-resolved writes its own address into the first, and the servers that it asks itself into the second.
FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
FILE_BYTES_MAX = 65536  # resolv.conf(5) has some lines


class Resolvers:
    """Reads the files again when they have changed, which costs two calls where they have not."""

    def __init__(self, files: tuple[Path, ...] = FILES) -> None:
        self._files = files
        self._seen: dict[Path, tuple[tuple[int, ...], frozenset[IPAddress]]] = {}

    def addresses(self) -> frozenset[IPAddress]:
        """All name servers. A file that is not there, or cannot be read, names none."""
        return frozenset().union(*(self._of(path) for path in self._files))

    def _of(self, path: Path) -> frozenset[IPAddress]:
        try:
            state = os.stat(path)
            mark = (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size)
            if path not in self._seen or self._seen[path][0] != mark:
                self._seen[path] = (mark, name_servers(_content(path)))
        except OSError:
            return frozenset()
        return self._seen[path][1]


def _content(path: Path) -> str:
    """The beginning of a regular file; nothing of any other, which could keep a reader waiting. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(FILE_BYTES_MAX).decode("utf-8", "replace")
