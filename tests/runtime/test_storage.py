"""Whether a directory can take what is to be kept there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from wgmesh.runtime.storage import storage_problem


def test_a_directory_that_can_be_written_has_no_problem(tmp_path: Path) -> None:
    assert storage_problem(tmp_path) == ""


def test_a_directory_that_is_gone_is_named_so(tmp_path: Path) -> None:
    assert storage_problem(tmp_path / "none") == "is gone"


@pytest.mark.root
@pytest.mark.parametrize(("options", "problem"), [("ro", "read-only"), ("size=8k", "full")])
def test_a_disk_that_takes_nothing_is_named_so(tmp_path: Path, options: str, problem: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path)], check=True)
    try:
        assert problem in storage_problem(tmp_path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
