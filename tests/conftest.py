"""What concerns all rings: the slow ones run last, who needs root says so, and what ran on real tunnels is named."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pages.attacks import ATTACKS
from pages.faults import FAULTS, Observe, note
from support.prerequisites import cannot_run

# An example that takes long on a busy machine is no failure: no test here asserts how fast a machine is.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

HERE = Path(__file__).parent
# In the order in which they run, after all others: a plain mistake shows first. And how long one test may take, in
# seconds: it waits with generous bounds, since other programs may want the processors too.
REAL_RINGS = {"lab": 600, "kernel": 1200}


def pytest_configure() -> None:
    """Heeds the signals that tests send: a shell's background job ignores Ctrl-C, and so do all programs it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        ring = item.path.relative_to(HERE).parts[0]
        if ring in REAL_RINGS:
            item.add_marker(ring)
            item.add_marker(pytest.mark.timeout(REAL_RINGS[ring]))
    items.sort(key=_place)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory with a short name: the path of a unix socket has 107 bytes at most, and pytest's own takes 70."""
    with tempfile.TemporaryDirectory(prefix="wgmesh-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture
def came_of(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes what came of an attack, for docs/reference/attacks.md."""
    return lambda text: request.node.user_properties.append((ATTACKS.mark, text))


@pytest.fixture
def observe(request: pytest.FixtureRequest) -> Observe:
    """Notes what a fault did, for docs/reference/faults.md."""
    return lambda seen: request.node.user_properties.append((FAULTS.mark, note(seen)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") and os.geteuid() != 0:
        cannot_run("needs root")


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
