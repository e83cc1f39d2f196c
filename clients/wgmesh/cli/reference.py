"""The tables of docs/reference/cli.md, made from the tables that the program itself uses. A test compares them."""

from __future__ import annotations

from collections.abc import Sequence

from wgmesh.cli.catalogue import CATALOGUE
from wgmesh.cli.exits import MEANINGS
from wgmesh.cli.join_settings import REFUSED, SETTINGS, Setting


def commands_table() -> str:
    return _table(("command", "what it does"), [(f"`{row.name}`", row.summary) for row in CATALOGUE])


def exit_codes_table() -> str:
    return _table(("code", "meaning"), [(str(code), meaning) for code, meaning in MEANINGS.items()])


def settings_table() -> str:
    return _table(
        ("flag", "variable", "default", "meaning"),
        [(_flag(row), f"`{row.variable}`", row.default or "off", row.help) for row in SETTINGS],
    )


def refused_table() -> str:
    return _table(("flag", "answer"), [(f"`--{name}`", sentence) for name, sentence in REFUSED.items()])


def _flag(row: Setting) -> str:
    words = ", ".join(filter(None, (row.short, row.flag)))
    return f"`{words} {row.metavar}`" if row.metavar else f"`{words}`"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
