"""Directories for processes that run as users of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that every user may pass, with a short name: the path of a unix socket has 107 bytes at most."""
    directory = Path(tempfile.mkdtemp(prefix="wgm"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
