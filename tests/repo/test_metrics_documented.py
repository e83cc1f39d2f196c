"""docs/reference/metrics.md lists the metrics that the services export."""

from __future__ import annotations

import ast
import re

from support.repository import ROOT, files
from wgmesh.discovery.members.contacts import Origin
from wgmesh.discovery.members.tombstones import Departure

PAGE = ROOT / "docs" / "reference" / "metrics.md"

_NAME = re.compile(r"(?:wgmesh|process|python|go)_[a-z0-9_]+")
_ROW = re.compile(r"^\| `([a-z0-9_]+)` \| (counter|gauge|histogram|summary) \|([^|]*)\|", re.MULTILINE)
# The exposition appends this to every counter that has it not yet.
TOTAL = "_total"


def in_code() -> set[str]:
    """Every metric name that is a literal in the services, as it is served without `_total`."""
    folder = ROOT / "services"
    literals = {
        node.value
        for path in files("*.py")
        if path.is_relative_to(folder)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {name.removesuffix(TOTAL) for name in literals if _NAME.fullmatch(name)}


def on_page() -> list[tuple[str, str, str]]:
    """Name, type and labels of every row."""
    return _ROW.findall(PAGE.read_text())


def test_the_page_has_every_metric_and_no_other() -> None:
    code = in_code()
    page = {name.removesuffix(TOTAL) for name, _, _ in on_page()}
    assert len(code) > 15
    assert sorted(code - page) == [], "exported and not on the page"
    assert sorted(page - code) == [], "on the page and not exported"


def test_no_metric_is_on_the_page_twice() -> None:
    names = [name for name, _, _ in on_page()]
    assert sorted(set(names)) == sorted(names)


def test_counters_are_on_the_page_as_they_are_served() -> None:
    assert [name for name, kind, _ in on_page() if (kind == "counter") != name.endswith(TOTAL)] == []


def words_of(metric: str) -> set[str]:
    """The words that the page lists in the meaning of a metric."""
    (row,) = re.findall(rf"^\| `{metric}` \|[^|]*\|[^|]*\|([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    return set(re.findall(r"`([\w-]+)`", row))


def test_the_page_lists_every_value_of_the_labels_that_have_few() -> None:
    origins = {origin.name.lower().replace("_", "-") for origin in Origin}
    assert words_of("wgmesh_nat_traversal_attempts_total") == origins
    assert words_of("wgmesh_discovery_departures_total") == {str(reason) for reason in Departure}
