"""What a node's metrics page shows, read by a scraper on the node's own machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from wgmesh.demo.host import CommandFailed
from wgmesh.demo.nodes import MeshNode

ADDRESS = "127.0.0.1:9090"
FLAGS = ("--metrics", ADDRESS)
_FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"


def fetch(node: MeshNode) -> str:
    """The page; empty while there is none."""
    try:
        return node.host.exec(sys.executable, "-c", _FETCH, f"http://{ADDRESS}/metrics")
    except CommandFailed:
        return ""


def samples(node: MeshNode) -> Iterator[Sample]:
    for family in text_string_to_metric_families(fetch(node)):
        yield from family.samples


def total(node: MeshNode, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels; 0 while there are none."""
    found = (each for each in samples(node) if each.name == name and labels.items() <= each.labels.items())
    return float(sum(each.value for each in found))
