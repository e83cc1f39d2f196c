"""Carries out every attack that a test is marked as, and writes docs/reference/attacks.md: `make attacks` (root).

Arguments are pytest's. The page is written only where all attacks ran and none had its way.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attacks.page import page
from attacks.rows import MARK, Watch, marked

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "attacks.md"


def main() -> int:
    watch = Watch()
    code = pytest.main(["-m", MARK, "-p", "no:randomly", *sys.argv[1:]], plugins=[watch])
    missing = set(marked(ROOT / "tests")) - watch.outcomes.keys()
    if code != pytest.ExitCode.OK or missing:
        for attack in sorted(missing, key=lambda each: each.test):
            print(f"did not run: {attack.test}", file=sys.stderr)
        return 1
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    run = f"this is what came of it on {datetime.now(UTC):%Y-%m-%d}, at commit {commit.stdout.strip()}"
    PAGE.write_text(page(watch.outcomes.values(), run))
    print(f"{len(watch.outcomes)} attacks: {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
