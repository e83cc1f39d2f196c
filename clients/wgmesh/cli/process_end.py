"""Waits for the end of a process that is no child of this one."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Watched:
    """A process by its pidfd, which never names another one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ends_within(self, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(wait_s * 1000))


@contextmanager
def watched(pid: int, name: str) -> Iterator[Watched | None]:
    """Watches the process while the context is open.

    None where it is not to be seen: it has ended, or it is in another container, where the pid means another process
    than here, which has another name.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        yield Watched(descriptor) if _name(pid) == name else None
    finally:
        os.close(descriptor)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
