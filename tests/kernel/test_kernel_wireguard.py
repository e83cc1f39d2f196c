"""The kernel's own WireGuard, on a machine whose kernel may have none: one boot, several questions."""

from __future__ import annotations

import re

import pytest
from kernel.machine import HERE, Step, boot, missing_tools
from support.prerequisites import cannot_run
from wgmesh.demo.prerequisites import missing_prerequisites


@pytest.fixture(scope="module")
def steps() -> dict[str, Step]:
    missing = [*missing_tools(), *missing_prerequisites()]
    if missing:
        cannot_run("the kernel lane cannot run: " + "; ".join(missing))
    return boot(HERE / "inside.sh")


def test_two_nodes_ping_each_other_over_kernel_wireguard(steps: dict[str, Step]) -> None:
    assert steps["nodes"].exit_code == 0, steps["nodes"].output
    assert " 0% packet loss" in steps["nodes"].output


def test_the_back_end_tests_pass_on_the_kernel_back_end(steps: dict[str, Step]) -> None:
    assert steps["backends"].exit_code == 0, steps["backends"].output
    assert re.search(r"\d+ passed", steps["backends"].output), steps["backends"].output
