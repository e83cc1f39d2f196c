"""The benchmark of growing meshes, at a size that every run of the tests can afford."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.growth import growth
from bench.report import Measurement, Report, Table


def test_twenty_nodes_over_a_dht_meet_the_targets_of_the_large_meshes() -> None:
    *measurements, table = growth([20])

    assert isinstance(table, Table) and [row[0] for row in table.rows] == [20]
    assert len(measurements) == 3
    assert [each.name for each in measurements if isinstance(each, Measurement) and not each.met] == []


@pytest.mark.parametrize(("target", "met"), [("<= 2", True), (">= 2", True), ("<= 1.9", False), (">= 2.1", False)])
def test_a_target_may_be_a_bound_on_either_side(target: str, met: bool) -> None:
    assert Measurement("something", 2.0, "s", target=target).met is met


def test_a_part_that_is_measured_anew_leaves_what_is_known_of_the_others(tmp_path: Path) -> None:
    path, order = tmp_path / "benchmarks.json", ("one", "two")
    first = Report.read(path, order)
    first.replace("two", [Measurement("b", 2.0, "s"), Table("sizes", ("n", "s"), ((1.0, None),))], "a machine")
    path.write_text(first.to_json())
    second = Report.read(path, order)
    second.replace("one", [Measurement("a", 1.0, "s", target="<= 2", runs=(1.0,))], "a machine")
    path.write_text(second.to_json())

    written = Report.read(path, order).to_markdown()
    assert written.index("| a | 1 s | <= 2 | - | yes |") < written.index("| b | 2 s | - | - |  |")
    assert "| 1 | - |" in written
    assert "| b |" not in Report.read(path, ("one",)).to_markdown()


def test_a_target_of_another_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="a target is"):
        _ = Measurement("something", 2.0, "s", target="about 2").met
