"""ARCHITECTURE.md and the reference speak of files that exist."""

from __future__ import annotations

import re

import pytest
from support.repository import ROOT

# Where a path in a document may begin; the code map and "Follow one peer" leave out the first two folders.
BASES = (ROOT, ROOT / "services" / "wgmesh", ROOT / "clients" / "wgmesh")
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "tests/README.md", "docs/reference/wire.md")

# A path in code quotes: two parts or more, without a wildcard or a blank. `io/` alone is a rule and not a place.
_PATH = re.compile(r"`([a-z_]\w*/[\w/-]+(?:\.py)?)`")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    named = _PATH.findall((ROOT / page).read_text())
    missing = [path for path in named if not any((base / path).exists() for base in BASES)]
    assert missing == []


def test_the_tour_of_the_architecture_names_files() -> None:
    tour = (ROOT / "ARCHITECTURE.md").read_text().partition("## Follow one peer")[2].partition("\n## ")[0]
    assert len(_PATH.findall(tour)) > 10
