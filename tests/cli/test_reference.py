from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from wgmesh.cli import reference

MANUAL = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


@pytest.mark.parametrize(
    "table",
    [reference.commands_table, reference.exit_codes_table, reference.settings_table, reference.refused_table],
)
def test_the_manual_holds_the_programs_own_tables(table: Callable[[], str]) -> None:
    assert table() in MANUAL.read_text(), f"put this into {MANUAL.name}:\n{table()}"
