"""The benchmark of growing meshes, at a size that every run of the tests can afford."""

from __future__ import annotations

from bench.growth import growth
from bench.report import Measurement, Table


def test_twenty_nodes_over_a_dht_meet_the_targets_of_the_large_meshes() -> None:
    *measurements, table = growth([20], quiet_s=90.0)

    assert isinstance(table, Table) and [row[0] for row in table.rows] == [20]
    assert len(measurements) == 3
    assert [each.name for each in measurements if isinstance(each, Measurement) and not each.met] == []
