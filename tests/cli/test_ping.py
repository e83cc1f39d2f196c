"""`wgmesh ping` against a node service on a real socket."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import Run
from support.doubles.fake_node import ALICE_TEXT, FakeNode, served
from support.doubles.fake_supervisor import own_interface, telling
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.cli.ping_text import KEPT_MAX, PingRun
from wgmesh.core.errors import NotReady
from wgmesh.demo.waiting import wait_for
from wgmesh.runtime.node_report import SILENT, NodeReport, ServiceReport
from wgmesh.v1 import node_service_pb2 as node_pb2


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    fake = FakeNode()
    with served(fake, tmp_path / "run" / "wg7" / "node.sock"):
        yield fake


def test_each_ping_has_a_line_and_the_last_two_say_what_they_come_to(wgmesh: Run, node: FakeNode) -> None:
    node.round_trips_s = [0.001, None, 0.003]

    outcome = wgmesh("ping", "alice", "-c", "3", "-n", "0.1", "-W", "0.5")

    assert (outcome.code, outcome.err) == (exits.OK, "")
    assert outcome.out.splitlines() == [
        "answer from alice (10.55.1.2): seq=1 time=1.000 ms",
        "no answer from alice (10.55.1.2) within 0.5 s: seq=2",
        "answer from alice (10.55.1.2): seq=3 time=3.000 ms",
        "",
        "--- alice (10.55.1.2) ---",
        "3 sent, 2 answered, 33.33% lost",
        "rtt min/avg/max/mdev = 1.000/2.000/3.000/1.000 ms",
    ]


def test_with_json_one_document_has_the_sums_and_every_ping(wgmesh: Run, node: FakeNode) -> None:
    node.round_trips_s = [0.001, None]

    value = wgmesh("ping", ALICE_TEXT[:8], "--count", "2", "--interval", "0.1", "--json").json

    assert value == {
        "pubkey": ALICE_TEXT,
        "hostname": "alice",
        "address": "10.55.1.2",
        "sent": 2,
        "received": 1,
        "loss_percent": 50.0,
        "rtt_ms": {"min": 1.0, "avg": 1.0, "max": 1.0, "mdev": 0.0},
        "pings": [{"seq": 1, "rtt_ms": 1.0, "by": "echo"}, {"seq": 2, "rtt_ms": None, "by": "echo"}],
    }


def test_a_peer_that_never_answers_ends_it_with_1(wgmesh: Run, node: FakeNode) -> None:
    node.round_trips_s = [None, None]

    outcome = wgmesh("ping", "alice", "-c", "2", "-n", "0.1")

    assert outcome.code == exits.FAILED
    assert outcome.out.endswith("2 sent, 0 answered, 100% lost\n")


@pytest.mark.usefixtures("node")
def test_a_peer_that_is_not_known_ends_it_with_4_and_no_sums(wgmesh: Run) -> None:
    outcome = wgmesh("ping", "nobody", "-c", "1")

    assert (outcome.code, outcome.out) == (exits.NOT_FOUND, "")
    assert outcome.err == "wgmesh: no peer fits 'nobody'\n"


def test_a_tunnel_that_is_not_up_yet_is_an_error_and_no_lost_ping(wgmesh: Run, node: FakeNode) -> None:
    node.error = NotReady("this end of the tunnel is not ready")

    outcome = wgmesh("ping", "alice", "-c", "1")

    assert (outcome.code, outcome.out) == (exits.FAILED, "")
    assert "not ready" in outcome.err


def test_a_ping_that_a_hanging_node_does_not_answer_is_lost_and_says_what_the_supervisor_says(
    wgmesh: Run, tmp_path: Path
) -> None:
    interface = own_interface()
    path = tmp_path / "run" / interface / "node.sock"
    report = NodeReport(interface, 7, str(path.parent), str(path), "", (ServiceReport("node", SILENT, 3.1),))
    node = FakeNode(round_trips_s=[0.001])
    node.out_of_round_trips = NotReady("the nat process does not answer")

    with served(node, path), telling(report):
        outcome = wgmesh("ping", "alice", "-c", "2", "-n", "0.1", "--interface", interface)

    assert outcome.code == exits.OK
    assert "not sent: seq=2: " in outcome.out and "(node: not answering for 3 s)" in outcome.out
    assert "2 sent, 1 answered, 50% lost" in outcome.out


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("flag", "value"),
    [("-c", "0"), ("-c", "x"), ("-n", "0"), ("-n", "nan"), ("-W", "inf"), ("--timeout", "soon"), ("-W", "")],
)
def test_a_number_that_is_none_is_refused_in_words_for_people(wgmesh: Run, flag: str, value: str) -> None:
    outcome = wgmesh("ping", "alice", flag, value)

    assert outcome.code == exits.USAGE
    assert "is not a" in outcome.err
    assert "from" in outcome.err
    assert "range" not in outcome.err


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_ctrl_c_ends_it_with_130_after_the_sums(node: FakeNode, tmp_path: Path, words: tuple[str, ...]) -> None:
    program = [sys.executable, "-m", "wgmesh.cli", "ping", "alice", "-n", "0.1", *words]
    process = subprocess.Popen(
        [*program, "--runtime-dir", str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: len(node.asked) >= 3, PATIENCE_S, "it pings")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()

    assert (process.returncode, err) == (exits.INTERRUPTED, "")
    assert ('"sent": ' if words else " sent, ") in out


def test_a_run_of_days_keeps_a_bounded_list() -> None:
    run = PingRun()
    answer = node_pb2.NodeServicePingPeerResponse(public_key=bytes(32))

    for _ in range(KEPT_MAX + 5):
        run.add(answer, 1.0)

    value = run.value()
    assert value["sent"] == KEPT_MAX + 5
    assert len(value["pings"]) == KEPT_MAX  # type: ignore[arg-type]
