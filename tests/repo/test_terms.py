"""One term for one thing, in what people read: documents, and the texts of the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from support.repository import files, relative

OURS = {
    re.compile(r"gossip[ _-]?port", re.IGNORECASE): re.compile(r"exchange port", re.IGNORECASE),
    re.compile(r"\b(cone|symmetric)\b", re.IGNORECASE): re.compile(
        r"(endpoint-independent|address-(and-port-)?dependent)"
    ),
}
"""Words of upstream, and ours (RFC 4787 for NATs), which stands beside each."""
KEPT = {
    "clients/wgmesh/cli/derived.py",  # upstream's layout, for its scripts: what a secret derives to
    "clients/wgmesh/cli/nat_text.py",  # the table of both
}


def _texts() -> Iterator[tuple[str, str]]:
    """Each line of the documents and each text of the command line, with where it stands."""
    for path in files("*.md"):
        name = relative(path)
        if name.startswith(("docs/decisions/", "CHANGELOG", "tests/")):  # what was decided and changed then
            continue
        yield from ((f"{name}:{number}", line) for number, line in enumerate(path.read_text().splitlines(), 1))
    for path in files("*.py"):
        name = relative(path)
        if not name.startswith("clients/wgmesh/cli/") or name in KEPT:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{name}:{node.lineno}", node.value


def test_upstreams_words_stand_beside_ours_or_not_at_all() -> None:
    texts = list(_texts())
    assert len(texts) > 1000

    alone = [
        where
        for where, text in texts
        for word, our_word in OURS.items()
        if word.search(text) and not our_word.search(text)
    ]
    assert alone == []
