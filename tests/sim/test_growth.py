"""The benchmark of growing meshes, at a size that every run of the tests can afford."""

from __future__ import annotations

import pytest
from bench.growth import growth
from bench.report import Measurement


def test_twenty_nodes_over_a_dht_meet_the_targets_of_the_large_meshes() -> None:
    measurements = list(growth([20]))

    assert len(measurements) == 3
    assert [each.name for each in measurements if not each.met] == []


@pytest.mark.parametrize(("target", "met"), [("<= 2", True), (">= 2", True), ("<= 1.9", False), (">= 2.1", False)])
def test_a_target_may_be_a_bound_on_either_side(target: str, met: bool) -> None:
    assert Measurement("something", 2.0, "s", target=target).met is met


def test_a_target_of_another_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="a target is"):
        _ = Measurement("something", 2.0, "s", target="about 2").met
