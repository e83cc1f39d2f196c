"""Fixtures of the lab: machines, meshes, and a loud word where real tunnels cannot run."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pytest
from support.lab.meshes import StartMesh, start_nodes
from support.prerequisites import cannot_run
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode
from wgmesh.demo.prerequisites import missing_prerequisites

LOG_CHARACTERS = 6000  # of each node, in the report of a failed test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Puts what the nodes said into the report of a failed test."""
    report = yield
    if report.failed:
        for log in sorted(_logs(getattr(item, "funcargs", {}).values())):
            text = log.read_text(errors="replace")[-LOG_CHARACTERS:]
            report.sections.append((f"{log.parent.name}/{log.name}", text))
    return report


def _logs(fixtures: Iterable[object]) -> Iterator[Path]:
    """The logs of the nodes that a test used."""
    for value in fixtures:
        if isinstance(value, Fabric):
            yield from value.directory.glob("*/join-*.log")
        elif isinstance(value, MeshNode):
            yield from value.host.directory.glob("join-*.log")
        elif isinstance(value, list):
            yield from _logs(value)


@pytest.fixture(scope="session", autouse=True)
def real_tunnels() -> None:
    """Skips with the reason, or fails where WGMESH_REQUIRE_LAB=1 says that skipping would hide a fault."""
    missing = missing_prerequisites()
    if missing:
        cannot_run("the lab cannot run: " + "; ".join(missing))


@pytest.fixture
def fabric(real_tunnels: None) -> Iterator[Fabric]:
    with Fabric() as made:
        yield made


@pytest.fixture
def start_mesh(fabric: Fabric) -> StartMesh:
    """Starts nodes on machines of the given names, with flags, and waits until all ping all."""

    def start(names: str, *flags: str, secret: str = "") -> list[MeshNode]:
        return start_nodes(fabric, names.split(), *flags, secret=secret)

    return start
