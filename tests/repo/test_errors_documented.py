"""docs/reference/errors.md shows each error with the status and the exit code that it really has."""

from __future__ import annotations

import re

from support.repository import ROOT
from wgmesh.cli import exits
from wgmesh.core import errors
from wgmesh.runtime import rpc_errors, service

PAGE = ROOT / "docs" / "reference" / "errors.md"

_ROW = re.compile(r"^\| `(\w+)` \| ([A-Z_]+) \| (\d+) \|", re.MULTILINE)
_PROCESS_ROW = re.compile(r"^\| (\d+) \| [^|]+ \| [^|]+ \|$", re.MULTILINE)


def tree(root: type[errors.MeshError]) -> list[type[errors.MeshError]]:
    """The classes of the tree, each once."""
    return [root, *(found for child in root.__subclasses__() for found in tree(child))]


def test_every_error_is_on_the_page_with_its_status_and_exit_code() -> None:
    expected = [
        (kind.__name__, rpc_errors.status_of(kind).name, str(exits.exit_code(kind.__new__(kind))))
        for kind in tree(errors.MeshError)
        if kind.__module__ == errors.__name__
    ]
    assert sorted(_ROW.findall(PAGE.read_text())) == sorted(expected)


def test_every_code_of_a_process_is_on_the_page() -> None:
    codes = {value for name, value in vars(service).items() if name.startswith("EXIT_")}
    assert {int(code) for code in _PROCESS_ROW.findall(PAGE.read_text())} == codes
