"""The two streams: data goes to stdout, talk goes to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wgmesh.cli.table import Table


def emit(text: str) -> None:
    """Writes data and a line end to stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def emit_json(value: object, compact: bool = False) -> None:
    """Writes one JSON document; `compact` keeps it on one line, for streams of them."""
    import json

    emit(json.dumps(value, indent=None if compact else 2, ensure_ascii=False))


def say(text: str) -> None:
    """Writes one line to the person at stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    say(f"warning: {text}")


def report(kind: str, text: str, code: int, as_json: bool) -> None:
    """Reports the error that ends the program: a sentence on stderr, and with `--json` an object on stdout as well."""
    if as_json:
        emit_json({"error": {"kind": kind, "message": text, "exit_code": code}})
    say(f"wgmesh: {text}")


def is_terminal() -> bool:
    """Tells whether stdout is a terminal that understands more than plain text."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"


def emit_table(table: Table, wide: bool) -> None:
    """Writes a table: with colour to a terminal, where `wide` keeps what does not fit; as plain columns into a pipe."""
    if is_terminal():
        from wgmesh.cli.terminal import print_table

        print_table(table, wide)
    else:
        emit(table.plain())


@contextmanager
def redrawn(as_json: bool) -> Iterator[None]:
    """Wraps one picture of a watch: on a terminal each replaces the last, in a pipe a blank line follows each.

    JSON is left alone: one document a line.
    """
    if is_terminal() and not as_json:
        sys.stdout.write("\x1b[H\x1b[2J")
    yield
    if not is_terminal() and not as_json:
        emit("")
