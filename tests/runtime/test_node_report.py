from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import MalformedMessage
from wgmesh.runtime.node_report import STATES, NodeReport, ServiceReport, decoded

REPORT = NodeReport("wg0", 7, "/run/wgmesh/wg0", "/srv/node.sock", "", (ServiceReport("nat", "silent", 3.0, 1),))

services = st.builds(
    ServiceReport, st.text(), st.sampled_from(sorted(STATES)), st.floats(0, 1e9), st.integers(0, 2**31 - 1)
)


@given(st.builds(NodeReport, st.text(), st.integers(), st.text(), st.text(), st.text(), st.tuples(services, services)))
def test_a_report_survives_the_way_and_is_one_line(report: NodeReport) -> None:
    line = report.encoded()

    assert decoded(line) == report
    assert line.count(b"\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]\n",
        b"{}\n",
        b'{"interface":"wg0"',
        b"\xff\n",
        b"[" * 100_000,
        json.dumps({"services": [{"name": "nat", "state": "dancing", "since_s": 1, "attempt": 0}]}).encode(),
        json.dumps({"services": [{"name": "nat", "state": "silent", "since_s": "x", "attempt": 0}]}).encode(),
        json.dumps({"services": 3}).encode(),
    ],
)
def test_what_is_no_report_is_refused_in_one_way(line: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decoded(line)


def test_the_words_for_a_person_say_how_long_and_which_attempt() -> None:
    assert REPORT.services[0].text() == "not answering for 3 s"
    assert ServiceReport("nat", "restarting", 12.4, 3).text() == "restarting for 12 s, attempt 3"
    assert ServiceReport("nat", "starting", 0.2).text() == "starting for 0 s"


def test_who_does_not_run_is_in_trouble() -> None:
    assert REPORT.troubled == REPORT.services
    assert REPORT.service("nat") == REPORT.services[0]
    assert REPORT.service("node") is None
