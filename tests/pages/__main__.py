"""Runs all tests that are marked as cases of a page, and writes it: `make attacks`, `make faults` (root).

Arguments are the page, and then pytest's. The page is written only where all cases ran and passed.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pages.attacks import ATTACKS
from pages.cases import Watch, marked
from pages.faults import FAULTS

ROOT = Path(__file__).parents[2]
PAGES = {page.file_name.removesuffix(".md"): page for page in (ATTACKS, FAULTS)}


def main(name: str, *arguments: str) -> int:
    page = PAGES[name]
    watch = Watch(page.mark)
    code = pytest.main(["-m", page.mark, "-p", "no:randomly", *arguments], plugins=[watch])
    missing = set(marked(ROOT / "tests", page.mark)) - watch.outcomes.keys()
    if code != pytest.ExitCode.OK or missing:
        for case in sorted(missing, key=lambda each: each.test):
            print(f"did not run: {case.test}", file=sys.stderr)
        return 1
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    run = f"this is what came of it on {datetime.now(UTC):%Y-%m-%d}, at commit {commit.stdout.strip()}"
    path = ROOT / "docs" / "reference" / page.file_name
    path.write_text(page.text(watch.outcomes.values(), run))
    print(f"{len(watch.outcomes)} cases: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
