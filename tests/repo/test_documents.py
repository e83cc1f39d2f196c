"""Documents that lead somewhere: links, and the tests that promises name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from support.repository import ROOT, files, relative

CLAIMS = ROOT / "docs" / "reference" / "claims.md"
THREATS = ROOT / "docs" / "explanation" / "security.md"
CLAIM_COUNT = 120
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_TEST = re.compile(r"(tests/[\w/.-]+\.py)::(\w+)")
_ROW = re.compile(r"^\|\s*(\d+)\s*\|(.*)\|\s*$", re.MULTILINE)
# Words of another century, which make a reader stop.
_STILTED = re.compile(r"\b(whoever|whomever|whom|anew|shall|for ever)\b", re.IGNORECASE)
_STILTED_IN_CODE = re.compile(r"\b(whoever|whomever|anew|shall|for ever)\b", re.IGNORECASE)
_CODE = re.compile(r"`[^`\n]*`")
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


def test_documents_are_in_plain_english() -> None:
    stilted = []
    for document in files("*.md"):
        for number, line in enumerate(document.read_text().splitlines(), 1):
            stilted += [f"{relative(document)}:{number}: {word}" for word in _STILTED.findall(_CODE.sub("", line))]
    assert stilted == []


def test_comments_and_names_are_in_plain_english() -> None:
    stilted = []
    for source in (*files("*.py"), *files("*.proto")):
        if source != Path(__file__).resolve():
            text = source.read_text().replace("_", " ")
            stilted += [f"{relative(source)}: {word}" for word in _STILTED_IN_CODE.findall(text)]
    assert stilted == []


def defined_tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_is_listed_once() -> None:
    numbers = [int(number) for number, _ in _ROW.findall(CLAIMS.read_text())]
    assert sorted(numbers) == list(range(1, CLAIM_COUNT + 1))


@pytest.mark.parametrize("page", [CLAIMS, THREATS], ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    missing = [
        f"{path}::{name}"
        for path, name in _TEST.findall(page.read_text())
        if not (ROOT / path).exists() or name not in defined_tests(ROOT / path)
    ]
    assert missing == []


def test_every_threat_names_a_test_and_what_prevents_it() -> None:
    rows = [
        line for line in THREATS.read_text().splitlines() if line.startswith("| ") and not line.startswith("| can try")
    ]
    threats = [row.strip("| ").split(" | ") for row in rows if not row.startswith("| ---")]
    assert len(threats) > 30
    assert [threat for threat in threats if len(threat) != 3 or not _TEST.search(threat[2])] == []


def test_every_module_that_the_threat_model_names_exists() -> None:
    names = re.findall(r"`([\w/]+\.py)`", THREATS.read_text())
    assert [name for name in names if not any(path.as_posix().endswith(f"/{name}") for path in files("*.py"))] == []


def test_every_kept_promise_names_a_test() -> None:
    unproven = [
        int(number)
        for number, rest in _ROW.findall(CLAIMS.read_text())
        if re.search(r"\|\s*\**kept\**\s*\|", f"|{rest}|") and not _TEST.search(rest)
    ]
    assert unproven == []
