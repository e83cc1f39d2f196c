"""What a process tells its parent: it is ready, its loop runs, another start is of no use, the node is to stop."""

from __future__ import annotations

import os
from dataclasses import dataclass

READY = b"R"
BEAT = b"B"
GIVE_UP = b"F"
STOP = b"S"
MAX_REASON_BYTES = 2048  # below PIPE_BUF (4096), so that one write is one piece and never blocks on an empty pipe


@dataclass(frozen=True, slots=True)
class ParentPipe:
    """The writing end of the pipe to the parent, which never blocks. Calling it says: ready.

    A parent that is gone is not an error: nobody is left who waits for the message.
    """

    descriptor: int
    is_separated: bool = False
    """Whether this process has a user of its own, apart from its parent and its siblings."""

    def __call__(self) -> None:
        self._write(READY)

    def beat(self) -> None:
        """Says that the event loop runs."""
        self._write(BEAT)

    def give_up(self, reason: str) -> None:
        """Says why another start would fail in the same way; the process must end after this."""
        self._write(GIVE_UP + reason.encode()[:MAX_REASON_BYTES])

    def ask_to_stop(self) -> None:
        """Asks for the end of the whole node; the parent decides whether this process may ask for it."""
        self._write(STOP)

    def _write(self, message: bytes) -> None:
        try:
            os.write(self.descriptor, message)
        except (BrokenPipeError, BlockingIOError):  # full: the parent has not read for hours, and will find enough
            return
