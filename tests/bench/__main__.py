"""`make bench`: measures, and writes docs/benchmarks.json and docs/benchmarks.md.

`python -m bench PART...` measures these parts only and leaves what is written of the others.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

from bench.bytecode import uncompiled
from bench.parts import PARTS
from bench.report import Measurement, Report
from wgmesh.demo.prerequisites import kernel_has_wireguard, missing_prerequisites

DOCS = Path(__file__).resolve().parents[2] / "docs"


def machine() -> str:
    release = ".".join(platform.release().split(".")[:2])  # what follows names a build, often of a single machine
    backend = "kernel WireGuard" if kernel_has_wireguard() else "userspace WireGuard (wireguard-go)"
    missing = len(uncompiled())
    bytecode = f"{missing} modules compiled at each start" if missing else "all modules compiled"
    return f"{os.cpu_count()} processors, Linux {release}, Python {platform.python_version()}, {backend}, {bytecode}"


def measured() -> str:
    """Today, and the commit that is measured where this is a clone."""
    commit = _git("rev-parse", "--short=7", "HEAD")
    changed = _git("status", "--porcelain", "proto", "services", "clients")
    version = f", commit {commit}{' with changes' if changed else ''}" if commit else ""
    return datetime.date.today().isoformat() + version


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(DOCS.parent), *words], capture_output=True, text=True, check=False
    ).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; all without one")
    chosen = parser.parse_args().parts or list(PARTS)
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    missing = missing_prerequisites()
    if missing:
        print("the benchmarks cannot run: " + "; ".join(missing), file=sys.stderr)
        return 1
    path = DOCS / "benchmarks.json"
    report = Report.read(path, tuple(PARTS))
    before = Report.read(DOCS / "benchmarks-before.json", tuple(PARTS))
    for name in chosen:
        results = []
        for result in PARTS[name]():
            if isinstance(result, Measurement):
                print(f"{result.name}: {result.value:.4g} {result.unit}", flush=True)
            results.append(result)
        report.replace(name, results, machine(), measured())
        # A run of all takes more than an hour; what is measured is not lost with what fails later.
        path.write_text(report.to_json())
        (DOCS / "benchmarks.md").write_text(report.to_markdown(before))
    return 0


if __name__ == "__main__":
    sys.exit(main())
