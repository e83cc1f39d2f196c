"""Advice in errors never leads to the loss of what is not ours."""

from __future__ import annotations

import ast
import re

from support.repository import files, relative

_REMOVES = re.compile(r"\b(remove|delete|rm) (it|them|the file|its identity file)\b")
ALLOWED = {
    # our own identity file, where a proven copy of it is in use elsewhere
    "services/wgmesh/discovery/diagnosis/duplicate_keys.py",
    # an interface, by name, beside the way that keeps it
    "services/wgmesh/wireguard/io/backend.py",
    # entries of our own file of bans, which name nobody
    "clients/wgmesh/cli/commands/peers.py",
}


def test_no_message_tells_to_remove_a_file_that_may_be_anybodys() -> None:
    found = set()
    for path in files("*.py"):
        if not relative(path).startswith(("services/", "clients/")):
            continue
        tree = ast.parse(path.read_text())
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        if any(_REMOVES.search(text) and not text.endswith(".\n") for text in texts):
            found.add(relative(path))

    assert found - ALLOWED == set()
