"""docs/benchmarks.md: the page that `make bench` writes, and what it says of each number."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import upstream
from bench.parts import PARTS
from bench.report import Measurement, Ran, Report, Table, Upstream
from support.repository import ROOT

DOCS = ROOT / "docs"
THEIRS = Upstream("5 s", "Two nodes on a LAN.")


@pytest.mark.parametrize(
    ("target", "met"),
    [("<= 2", True), (">= 2", True), ("<= 1.9", False), (">= 2.1", False), ("< 2", False), ("< 2.1", True)],
)
def test_a_target_may_be_a_bound_on_either_side(target: str, met: bool) -> None:
    assert Measurement("something", 2.0, "s", Ran.CODE, target=target).met is met


def test_a_target_of_another_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="a target is"):
        _ = Measurement("something", 2.0, "s", Ran.CODE, target="about 2").met


def test_a_part_that_is_measured_again_leaves_what_is_known_of_the_others(tmp_path: Path) -> None:
    path, order = tmp_path / "benchmarks.json", ("one", "two")
    first = Report.read(path, order)
    table = Table("sizes", ("n", "s"), ((1.0, None),))
    first.replace("two", [Measurement("b", 2.0, "s", Ran.SIMULATION), table], "a machine")
    path.write_text(first.to_json())
    second = Report.read(path, order)
    second.replace("one", [Measurement("a", 1.0, "s", Ran.NODES, THEIRS, "<= 2", (0.5, 3.0))], "a machine", "today")
    path.write_text(second.to_json())

    written = Report.read(path, order).to_markdown()
    ours = written.index("| a | real nodes | 1 s (0.5 to 3) | <= 2 | yes | 5 s |")
    assert ours < written.index("| b | simulation | 2 s | - |  | - |")
    assert "| 1 | - |" in written
    assert "| one | today |\n| two | not noted |" in written
    assert "- **a: 5 s**: Two nodes on a LAN." in written[written.index("## Where upstream's numbers come from") :]
    assert "| b |" not in Report.read(path, ("one",)).to_markdown()


def test_what_was_measured_before_stands_beside_what_is_measured_now(tmp_path: Path) -> None:
    before, now = (Report.read(tmp_path / "none.json", ("one",)) for _ in range(2))
    before.replace("one", [Measurement("a", 3.0, "s", Ran.NODES), Measurement("gone", 1.0, "s", Ran.NODES)], "")
    now.replace("one", [Measurement("a", 2.0, "s", Ran.NODES), Measurement("new", 1.0, "s", Ran.NODES)], "")

    written = now.to_markdown(before)
    compared = written[written.index("## Before and after") : written.index("## How each was measured")]
    assert "| a | 3 s | 2 s |" in compared
    assert "gone" not in compared
    assert "| new |" not in compared


def test_every_number_of_upstreams_says_what_it_is_of() -> None:
    numbers = [value for value in vars(upstream).values() if isinstance(value, Upstream)]
    assert len(numbers) > 5
    assert all(each.text and each.note for each in numbers)


def test_the_page_is_the_one_that_its_numbers_give() -> None:
    report = Report.read(DOCS / "benchmarks.json", tuple(PARTS))
    before = Report.read(DOCS / "benchmarks-before.json", tuple(PARTS))
    assert (DOCS / "benchmarks.md").read_text() == report.to_markdown(before)
    assert (DOCS / "benchmarks.json").read_text() == report.to_json()
