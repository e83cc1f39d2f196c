"""What the demonstration finds out of the machine before it starts nodes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.supervised import import_roots

PROGRAM = "from wgmesh.demo.prerequisites import others_can_read_the_program as can; print(can())"


def test_a_program_below_a_closed_folder_is_one_that_others_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "home/program").mkdir(parents=True)
    (tmp_path / "home").chmod(0o700)

    assert found(tmp_path / "home/program") == "False"
    assert found(tmp_path / "missing/program") == found()  # what is not there cannot be closed


def found(*further: Path) -> str:
    path = os.pathsep.join([*import_roots(), *map(os.fspath, further)])
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    ).stdout.strip()
