"""The demo without root."""

from __future__ import annotations

import json

import pytest
from wgmesh.demo import simulated


def test_a_simulated_mesh_completes_and_says_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated.run(3, once=True, as_json=False, seed=7) == 0
    output = capsys.readouterr().out
    assert "All 3 simulated nodes reach each other" in output
    assert "seed 7" in output


def test_the_same_seed_gives_the_same_run(capsys: pytest.CaptureFixture[str]) -> None:
    results = []
    for _ in range(2):
        assert simulated.run(3, once=True, as_json=True, seed=11) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0] == results[1]
    assert results[0]["simulated"] is True
    assert [node["reached_count"] for node in results[0]["nodes"]] == [2, 2, 2]
