"""A new secret is in a file that its owner alone can read, whole, or in none."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from wgmesh.cli.private_files import write_private
from wgmesh.core.errors import MeshError


def test_the_mode_is_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    for umask in (0, 0o777):
        path = tmp_path / f"secret-{umask}"
        before = os.umask(umask)
        try:
            write_private(path, b"secret")
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o600


def test_neither_a_link_nor_a_fifo_is_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (tmp_path / "link").symlink_to(victim)
    os.mkfifo(tmp_path / "fifo")

    for name in ("link", "fifo"):
        with pytest.raises(MeshError, match="exists already"):
            write_private(tmp_path / name, b"secret")
    assert not victim.exists()


def test_half_a_secret_is_not_left_behind(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(MeshError, match="cannot be written: File too large"):
            write_private(tmp_path / "secret", bytes(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "secret").exists()
