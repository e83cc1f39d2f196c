"""The examples in deploy/ speak of metrics that the code exports."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = (
    ROOT / "deploy/prometheus/scrape.yml",
    ROOT / "deploy/prometheus/alerts.yml",
    ROOT / "deploy/grafana/dashboard.json",
)

NAME = re.compile(r"\b(?:wgmesh|process|python)_[a-z_]+\b")
SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")


def exported_names() -> set[str]:
    """Every metric name that is a literal in the services, with what the text format appends."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py"))
    literals = {name for source in sources for name in re.findall(r'"((?:wgmesh|process|python)_[a-z_]+)"', source)}
    return {name + suffix for name in literals for suffix in SUFFIXES}


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_every_metric_in_an_example_is_exported(path: Path) -> None:
    used = set(NAME.findall(path.read_text(encoding="utf-8")))

    assert used - exported_names() == set()


def test_the_alerts_use_metrics_at_all() -> None:
    assert len(set(NAME.findall(FILES[1].read_text(encoding="utf-8")))) >= 5


def test_the_dashboard_is_one_json_object_whose_panels_do_not_overlap() -> None:
    dashboard = json.loads(FILES[2].read_text(encoding="utf-8"))
    cells: set[tuple[int, int]] = set()

    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not own & cells, panel["title"]
        assert panel["targets"], panel["title"]
        cells |= own
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
