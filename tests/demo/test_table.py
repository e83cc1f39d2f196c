"""What the demo shows of a node."""

from __future__ import annotations

import json

from wgmesh.demo.table import NodeRow, cells, document, lines

STARTING = NodeRow("node1", peer_count=2)
COMPLETE = NodeRow("node2", "10.1.2.3", 2, 2, ("direct-lan",), 1.25, 0.00042)


def test_a_node_without_an_address_is_starting_and_not_complete() -> None:
    assert cells(STARTING) == ("node1", "starting", "0/2", "-", "-", "-")
    assert not STARTING.complete


def test_a_complete_node_shows_its_proof() -> None:
    assert cells(COMPLETE) == ("node2", "10.1.2.3", "2/2", "direct-lan", "1.2 s ago", "0.42 ms")
    assert COMPLETE.complete


def test_lines_align_under_their_headings() -> None:
    heading, first, second = lines([STARTING, COMPLETE])
    column = heading.index("REACHES")
    assert first[column:].startswith("0/2")
    assert second[column:].startswith("2/2")


def test_the_document_is_json_and_complete_only_if_all_are() -> None:
    both = json.loads(json.dumps(document([STARTING, COMPLETE], {}, simulated=False)))
    assert both["complete"] is False
    one = json.loads(json.dumps(document([COMPLETE], {"all_ping_all": 1.23456}, simulated=True)))
    assert one["complete"] is True
    assert one["timings_s"] == {"all_ping_all": 1.235}
    assert one["nodes"][0]["paths"] == ["direct-lan"]
