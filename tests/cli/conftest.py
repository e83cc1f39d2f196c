from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.command_line import Run, runner


@pytest.fixture(autouse=True)
def no_outer_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Takes the machine's own settings away, and keeps every search for a node inside the test's directory."""
    for name in list(os.environ):
        if name.startswith("WGMESH_"):
            monkeypatch.delenv(name)
    for name in ("LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "xdg"))
    monkeypatch.setenv("WGMESH_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
def wgmesh(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)
