"""Where things lie in the repository, for the tests that look at it as a whole."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
NAMESPACE_FOLDERS = tuple(ROOT / root / "wgmesh" for root in ("proto", "services", "clients"))
_IGNORED = {".venv", ".git", "build", "dist"}


def files(pattern: str) -> Iterator[Path]:
    """The files of the project that match a pattern: what git would commit, or all where there is no git."""
    found = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == 0:
        candidates = (ROOT / name for name in found.stdout.split("\0") if name)
    else:
        candidates = (path for path in ROOT.rglob("*") if not _IGNORED & set(path.relative_to(ROOT).parts))
    return (path for path in candidates if path.match(pattern) and path.is_file())


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))
