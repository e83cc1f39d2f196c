"""The two streams: data goes to stdout, talk goes to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from wgmesh.cli.table import Table

PYTHONS_OWN_LOCALES = ("C.UTF-8", "C.utf8", "UTF-8")  # one of them is put into LC_CTYPE where the locale is C


def emit(text: str) -> None:
    """Writes data and a line end to stdout."""
    _write(sys.stdout, text)


def emit_json(value: object, compact: bool = False) -> None:
    """Writes one JSON document; `compact` keeps it on one line, for streams of them."""
    import json

    emit(json.dumps(value, indent=None if compact else 2, ensure_ascii=not is_utf8()))


def say(text: str) -> None:
    """Writes one line to the person at stderr."""
    _write(sys.stderr, text)


def speaks_utf8(environ: Mapping[str, str]) -> bool:
    """Tells whether the person has a locale of UTF-8: Python itself takes UTF-8 for C (PEP 538, 540)."""
    chosen = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := environ.get(name))), "")
    if not environ.get("LC_ALL") and chosen in PYTHONS_OWN_LOCALES:
        chosen = environ.get("LANG", "")
    return chosen.lower().replace("-", "").partition("@")[0].endswith("utf8")


def is_utf8() -> bool:
    """Tells whether stdout takes every sign that there is."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _write(stream: TextIO, text: str) -> None:
    """Writes a line. What the stream cannot carry, such as bytes of an argument that are no text, becomes an escape."""
    encoding = stream.encoding or "utf-8"
    stream.write((text + "\n").encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def warn(text: str) -> None:
    say(f"warning: {text}")


def report(kind: str, text: str, code: int, as_json: bool) -> None:
    """Reports the error that ends the program: a sentence on stderr, and with `--json` an object on stdout as well."""
    if as_json:
        with suppress(OSError):  # stdout itself may be what failed
            emit_json({"error": {"kind": kind, "message": text, "exit_code": code}})
    with suppress(OSError):
        say(f"wgmesh: {text}")


def is_terminal() -> bool:
    """Tells whether stdout is a terminal that understands more than plain text."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"


def emit_table(table: Table, wide: bool) -> None:
    """Writes a table: with colour to a terminal, as plain columns into a pipe.

    A terminal shows what fits. `wide` says that all was asked for, and so what was left out is named.
    """
    if is_terminal():
        from wgmesh.cli.terminal import print_table

        left_out = print_table(table)
        if left_out and wide:
            say(f"left out at this width: {', '.join(left_out)}; a pipe and --json have all")
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
