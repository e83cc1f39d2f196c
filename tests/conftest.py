"""What concerns all rings: the slow ones run last, and the summary names what ran on real tunnels."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
REAL_RINGS = ("lab", "kernel")  # in the order in which they run, after all others: a plain mistake shows first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        ring = item.path.relative_to(HERE).parts[0]
        if ring in REAL_RINGS:
            item.add_marker(ring)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    marked = [number for number, ring in enumerate(REAL_RINGS, start=1) if item.get_closest_marker(ring)]
    return max(marked, default=0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the tests that ran on real tunnels, so that a run without them cannot be taken for one with them."""
    ran = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and any(ring in report.keywords for ring in REAL_RINGS)
    ]
    if not ran:
        terminalreporter.section("lab: NO TEST RAN ON REAL TUNNELS")
        return
    terminalreporter.section(f"lab: {len(ran)} tests ran on real tunnels")
    for report in ran:
        terminalreporter.line(f"{report.outcome}  {report.duration:5.1f} s  {report.nodeid}")
