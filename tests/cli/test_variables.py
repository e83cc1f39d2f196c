from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.command_line import GOOD_SECRET, Run
from support.repository import ROOT
from wgmesh.cli import exits
from wgmesh.cli.join_settings import SETTINGS
from wgmesh.cli.variables import KNOWN, OF_THE_TESTS, SHOWN_MAX, doubts

NEVER_SHOWN = "a-secret-that-was-put-into-the-wrong-variable"


def test_a_misspelt_variable_is_named_once_with_the_nearest_and_never_its_value(
    wgmesh: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WGMESH_SECERT", NEVER_SHOWN)

    outcome = wgmesh("status", "--json")

    first, second = outcome.err.splitlines()
    assert first == "warning: the variable 'WGMESH_SECERT' means nothing to wgmesh; did you mean WGMESH_SECRET?"
    assert second.startswith("wgmesh: no wgmesh is running")
    assert outcome.json["error"]["exit_code"] == exits.NOT_RUNNING
    assert NEVER_SHOWN not in outcome.out + outcome.err


def test_join_warns_too_and_once_although_it_starts_itself_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(ROOT / ".venv/bin/wgmesh"), "join", "--mtu", "1", "--state-dir", str(tmp_path)],
        env={"PATH": "/usr/bin", "WGMESH_SECRET": GOOD_SECRET, "WGMESH_LISTEN_PROT": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == exits.USAGE
    assert done.stderr.count("did you mean WGMESH_LISTEN_PORT?") == 1


def test_the_variables_that_mean_something_are_not_doubted() -> None:
    assert {row.variable for row in SETTINGS} <= KNOWN
    assert doubts([*KNOWN, *OF_THE_TESTS, "WGMESH_PPROF", "PATH", "_WGMESH_COMPLETE"]) == []


def test_many_of_them_fill_no_screen() -> None:
    told = doubts(f"WGMESH_{number}" for number in range(100))

    assert len(told) == SHOWN_MAX + 1
    assert told[-1] == "and 92 more variables that begin with WGMESH_ mean nothing to it"


def test_every_variable_in_the_sources_is_a_known_one() -> None:
    sources = [*(ROOT / "clients").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    named = {name for path in sources for name in re.findall(r"\bWGMESH_[A-Z][A-Z_0-9]*", path.read_text())}

    assert doubts(named - {"WGMESH_"}) == []


def test_completion_and_version_say_nothing_of_it(wgmesh: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WGMESH_TYPO", "1")
    assert wgmesh("version").err == ""
    monkeypatch.setenv("_WGMESH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "wgmesh sta")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert wgmesh().err == ""
