from __future__ import annotations

import os

import pytest
from support.command_line import Run
from wgmesh.cli import exits
from wgmesh.demo import live


@pytest.mark.parametrize("nodes", ["1", "51", "x"])
def test_a_number_of_nodes_that_makes_no_mesh_is_a_usage_error(wgmesh: Run, nodes: str) -> None:
    outcome = wgmesh("demo", "--nodes", nodes)

    assert outcome.code == exits.USAGE
    assert "--nodes" in outcome.err


def test_without_root_the_demo_offers_the_simulated_network_and_ends_with_5(wgmesh: Run) -> None:
    assert live  # imported while the interpreter's files may be read
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        outcome = wgmesh("demo", "--once", "--json")
    finally:
        os.seteuid(before)

    assert outcome.code == exits.PERMISSION
    assert "wgmesh demo --simulated" in outcome.json["error"]["message"]


def test_a_secret_that_is_in_the_environment_for_others_goes_into_no_program_of_the_demo(
    wgmesh: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WGMESH_SECRET", "of another mesh than the demo's")

    outcome = wgmesh("demo", "--simulated", "--nodes", "2", "--once", "--json")

    assert outcome.code == exits.OK
    assert "WGMESH_SECRET" not in os.environ
