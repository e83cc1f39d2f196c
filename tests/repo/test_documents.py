"""Documents that lead somewhere: links, and the tests that promises name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from support.repository import ROOT, files, relative

CLAIMS = ROOT / "docs" / "reference" / "claims.md"
CLAIM_COUNT = 120
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_TEST = re.compile(r"(tests/[\w/.-]+\.py)::(\w+)")
_ROW = re.compile(r"^\|\s*(\d+)\s*\|(.*)\|\s*$", re.MULTILINE)
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)


def headings(document: Path) -> set[str]:
    """The anchors of a document, as the common renderers make them."""
    found = re.findall(r"^#+\s+(.*)$", _FENCE.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in found}


def test_every_link_in_a_document_leads_to_something() -> None:
    broken = []
    for document in files("*.md"):
        for target in _LINK.findall(_FENCE.sub("", document.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            place = (document.parent / path).resolve() if path else document
            if not place.exists() or (anchor and place.suffix == ".md" and anchor not in headings(place)):
                broken.append(f"{relative(document)}: {target}")
    assert broken == []


def defined_tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_is_listed_once() -> None:
    numbers = [int(number) for number, _ in _ROW.findall(CLAIMS.read_text())]
    assert sorted(numbers) == list(range(1, CLAIM_COUNT + 1))


def test_every_test_that_a_promise_names_exists() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in _TEST.findall(CLAIMS.read_text())
        if not (ROOT / path).exists() or name not in defined_tests(ROOT / path)
    ]
    assert missing == []


def test_every_kept_promise_names_a_test() -> None:
    unproven = [
        int(number)
        for number, rest in _ROW.findall(CLAIMS.read_text())
        if re.search(r"\|\s*\**kept\**\s*\|", f"|{rest}|") and not _TEST.search(rest)
    ]
    assert unproven == []
