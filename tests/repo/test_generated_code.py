"""The committed Python of the contract is what the contract says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.repository import PROTO, ROOT


def test_generated_code_is_current(tmp_path: Path) -> None:
    plugins = Path(sys.executable).parent
    sources = sorted(PROTO.glob("wgmesh/v1/*.proto"))
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", str(PROTO), *outputs, *map(str, sources)],
        env=os.environ | {"PATH": f"{plugins}:{os.environ['PATH']}"},
        check=True,
        cwd=ROOT,
    )
    fresh = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.py*")}
    committed = {path.relative_to(PROTO): path.read_text() for path in PROTO.glob("wgmesh/v1/*_pb2*.py*")}
    changed = sorted(str(path) for path in fresh.keys() | committed.keys() if fresh.get(path) != committed.get(path))
    assert changed == [], "run `make proto` and commit the result"
