"""status, plan, peers, reload and test-peer against a node service on a real socket."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import Run
from support.doubles.fake_node import ALICE_TEXT, BOB_KEY, FakeNode, failing, served
from wgmesh.cli import exits
from wgmesh.core.errors import InvalidInput, MeshError, NotFound, NotReady, PeerNotFound, PermissionDenied
from wgmesh.v1 import node_service_pb2 as node_pb2


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    fake = FakeNode()
    with served(fake, tmp_path / "run" / "wg7" / "node.sock"):
        yield fake


@pytest.mark.usefixtures("node")
def test_status_asks_the_running_node(wgmesh: Run) -> None:
    text, value = wgmesh("status"), wgmesh("status", "--json")

    assert text.code == value.code == exits.OK
    assert "Interface: wg7 (kernel)" in text.out
    assert value.json["interface"] == "wg7"
    assert text.err == value.err == ""


@pytest.mark.usefixtures("node")
def test_peers_are_listed_counted_and_found(wgmesh: Run) -> None:
    listed = wgmesh("peers", "list")
    values = wgmesh("peers", "list", "--json")
    counted = wgmesh("peers", "count", "--json")
    found = wgmesh("peers", "get", "alice", "--json")

    assert [line.split()[0] for line in listed.out.splitlines()[2:]] == ["alice", "a-host-name-of-mo..."]
    assert [peer["mesh_ip"] for peer in values.json["peers"]] == ["10.55.1.2", "10.55.1.3"]
    assert counted.json == {"active": 1, "total": 2, "dead": 1}
    shortened_key = listed.out.splitlines()[2].split()[1]

    assert found.json["pubkey"] == ALICE_TEXT
    assert wgmesh("peers", "get", shortened_key, "--json").json == found.json
    assert wgmesh("peers", "get", "10.55.1.2").out.startswith(f"Public Key: {ALICE_TEXT}\n")


def test_no_peers_is_a_sentence_and_an_empty_list(wgmesh: Run, node: FakeNode) -> None:
    node.peers = ()

    assert wgmesh("peers", "list").out == "No peers yet\n"
    value = wgmesh("peers", "list", "--json").json
    assert value["peers"] == []
    assert value["health"]["state"] == "ok"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("status",), id="status"),
        pytest.param(("status", "--json"), id="status as JSON"),
        pytest.param(("peers", "list"), id="peers"),
        pytest.param(("peers", "list", "--json"), id="peers as JSON"),
        pytest.param(("peers", "count"), id="how many"),
        pytest.param(("peers", "get", "alice"), id="one peer"),
    ],
)
def test_what_a_node_shows_that_cannot_do_its_work_comes_with_its_own_exit_code(
    wgmesh: Run, node: FakeNode, words: tuple[str, ...]
) -> None:
    node.health = failing()

    outcome = wgmesh(*words)

    assert outcome.code == exits.UNABLE
    assert "The key is another." in outcome.out + outcome.err
    if words[0] == "peers":
        assert outcome.err.startswith("warning: failing for ")


def test_a_node_that_is_only_worse_than_usual_fails_no_script(wgmesh: Run, node: FakeNode) -> None:
    node.health = node_pb2.Health(state=node_pb2.Health.STATE_DEGRADED, reason="No nat process.")

    outcome = wgmesh("status")

    assert outcome.code == exits.OK
    assert outcome.out.splitlines()[2] == "Health: degraded: No nat process."


@pytest.mark.usefixtures("node")
def test_a_peer_that_is_not_there_ends_with_4(wgmesh: Run) -> None:
    outcome = wgmesh("peers", "get", "carol")

    assert outcome.code == exits.NOT_FOUND
    assert outcome.err == "wgmesh: no peer fits 'carol'\n"
    assert outcome.out == ""


@pytest.mark.usefixtures("node")
def test_a_watch_shows_each_snapshot_and_ends_with_the_node(wgmesh: Run) -> None:
    outcome = wgmesh("peers", "list", "--watch", "--json")

    assert [len(json.loads(line)["peers"]) for line in outcome.out.splitlines()] == [1, 2]


@pytest.mark.usefixtures("node")
def test_peers_without_an_action_print_their_usage(wgmesh: Run) -> None:
    outcome = wgmesh("peers")

    assert outcome.code == exits.USAGE
    assert outcome.out.startswith("Usage: wgmesh peers")


def test_a_peer_is_banned_listed_and_unbanned(wgmesh: Run, node: FakeNode) -> None:
    unknown = base64.b64encode(bytes(32)).decode()

    assert wgmesh("peers", "bans").out == "Nobody is banned\n"
    assert wgmesh("peers", "ban", "alice", "--reason", "sold").out == f"Banned {ALICE_TEXT} (alice)\n"
    assert wgmesh("peers", "ban", unknown, "--json").json == {"pubkey": unknown, "hostname": ""}
    listed, values = wgmesh("peers", "bans"), wgmesh("peers", "bans", "--json")
    assert [line.split()[0] for line in listed.out.splitlines()[2:]] == [ALICE_TEXT, unknown]
    assert values.json["bans"][0] == {"pubkey": ALICE_TEXT, "banned": "2023-11-14T22:13:20Z", "reason": "sold"}
    assert listed.err == values.err == ""
    assert wgmesh("peers", "unban", f"{unknown[:16]}...", "--json").json == {"pubkey": unknown}
    assert wgmesh("peers", "unban", ALICE_TEXT).out == f"No longer banned: {ALICE_TEXT}\n"
    assert node.bans == []


def test_entries_of_the_file_that_ban_nobody_are_told(wgmesh: Run, node: FakeNode) -> None:
    node.unread_bans = 2

    outcome = wgmesh("peers", "bans", "--json")

    assert outcome.json == {"bans": [], "unread": 2}
    assert outcome.err.startswith("warning: 2 entries of the file of bans name no key")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("that is this node itself"), exits.USAGE),
        (PeerNotFound("nobody fits"), exits.NOT_FOUND),
        (PermissionDenied("The ban holds only until this node stops."), exits.PERMISSION),
        (MeshError("4096 keys are banned"), exits.FAILED),
    ],
)
def test_a_ban_that_fails_ends_with_its_own_code(wgmesh: Run, node: FakeNode, error: MeshError, code: int) -> None:
    node.error = error

    outcome = wgmesh("peers", "ban", "alice", "--json")

    assert (outcome.code, outcome.json["error"]["message"]) == (code, str(error))


def test_reload_tells_changes_and_fails_on_problems(wgmesh: Run, node: FakeNode) -> None:
    good = wgmesh("reload")
    node.reload_problems = ("line 3: not a network",)
    bad = wgmesh("reload", "--json")

    assert (good.code, good.out) == (exits.OK, "log-level: info -> debug\n")
    assert bad.code == exits.FAILED
    assert bad.json == {"changes": ["log-level: info -> debug"], "problems": ["line 3: not a network"]}


@pytest.mark.usefixtures("node")
def test_a_plan_names_each_step_with_its_reason_and_what_will_not_be_done(wgmesh: Run) -> None:
    outcome = wgmesh("plan")

    assert (outcome.code, outcome.err) == (exits.OK, "")
    assert outcome.out.splitlines() == [
        "The next turn would:",
        "  1. set MTU 1420",
        "     It is 1300.",
        "  2. add route 192.168.77.0/24 to peer AQIDBAUG [alice\N{REPLACEMENT CHARACTER}[2J]",
        "     Peer AQIDBAUG advertises it. Its tunnel works.",
        "",
        "Refused routes:",
        "  10.0.0.0/8 from AgMEBQYH: It overlaps the mesh.",
        "",
        "Peers that cannot be configured:",
        "  AgMEBQYH: No space left.",
    ]


@pytest.mark.usefixtures("node")
def test_a_plan_as_json_has_null_for_what_a_step_is_not_about(wgmesh: Run) -> None:
    bob = base64.b64encode(BOB_KEY).decode()

    assert wgmesh("plan", "--json").json == {
        "problems": [],
        "actions": [
            {
                "action": "set-mtu",
                "what": "set MTU 1420",
                "why": "It is 1300.",
                "pubkey": None,
                "hostname": None,
                "network": None,
            },
            {
                "action": "add-route",
                "what": "add route 192.168.77.0/24 to peer AQIDBAUG",
                "why": "Peer AQIDBAUG advertises it. Its tunnel works.",
                "pubkey": ALICE_TEXT,
                "hostname": "alice\x1b[2J",
                "network": "192.168.77.0/24",
            },
        ],
        "refused_routes": [{"network": "10.0.0.0/8", "pubkey": bob, "reason": "It overlaps the mesh."}],
        "peer_failures": [{"pubkey": bob, "reason": "No space left."}],
    }


def test_a_plan_without_steps_says_that_there_is_nothing_to_do(wgmesh: Run, node: FakeNode) -> None:
    node.plan = node_pb2.PlanTurnResponse()

    outcome = wgmesh("plan")

    assert (outcome.code, outcome.out) == (exits.OK, "The device is as it should be.\n")
    assert wgmesh("plan", "--json").json["actions"] == []


def test_a_plan_after_a_turn_that_failed_says_so_first_and_ends_with_1(wgmesh: Run, node: FakeNode) -> None:
    node.plan.problems.append("The last turn failed: no CAP_NET_ADMIN.")

    text, value = wgmesh("plan"), wgmesh("plan", "--json")

    assert text.code == value.code == exits.FAILED
    assert text.err == "wgmesh: The last turn failed: no CAP_NET_ADMIN.\n"
    assert text.out.startswith("The next turn would:\n")
    assert next(iter(value.json.items())) == ("problems", ["The last turn failed: no CAP_NET_ADMIN."])
    assert value.err == ""


def test_a_node_that_is_not_ready_has_no_plan_and_the_exit_code_says_so(wgmesh: Run, node: FakeNode) -> None:
    node.error = NotReady("The wireguard process does not answer.")

    text, value = wgmesh("plan"), wgmesh("plan", "--json")

    assert (text.code, text.out, text.err) == (exits.FAILED, "", "wgmesh: The wireguard process does not answer.\n")
    assert value.json["error"] == {"kind": "NotReady", "message": str(node.error), "exit_code": exits.FAILED}


def test_test_peer_asks_through_the_running_node(wgmesh: Run, node: FakeNode) -> None:
    outcome = wgmesh("test-peer", "--peer", "192.0.2.7", "--json")
    wgmesh("test-peer", "--peer", "[2001:db8::7]:999")

    assert outcome.json == {
        "address": "192.0.2.7",
        "pubkey": ALICE_TEXT,
        "hostname": "alice",
        "mesh_ip": "10.55.1.2",
        "rtt_ms": 2.5,
        "observed_endpoint": "192.0.2.1:51980",
    }
    assert node.probed == [("192.0.2.7", 0), ("2001:db8::7", 999)]


@pytest.mark.parametrize(
    ("error", "code"),
    [(NotReady("no answer from 192.0.2.7"), exits.FAILED), (PermissionDenied("no"), exits.PERMISSION)],
)
def test_the_nodes_own_error_reaches_the_user(wgmesh: Run, node: FakeNode, error: NotReady, code: int) -> None:
    node.error = error

    outcome = wgmesh("test-peer", "--peer", "192.0.2.7")

    assert (outcome.code, outcome.err) == (code, f"wgmesh: {error}\n")


def test_a_silent_address_fails_the_test_with_1_and_causes(wgmesh: Run, node: FakeNode) -> None:
    node.error = NotFound("no member of this mesh answered at 192.0.2.7:51980")

    outcome = wgmesh("test-peer", "--peer", "192.0.2.7")

    assert outcome.code == exits.FAILED
    assert outcome.err.startswith("wgmesh: no member of this mesh answered at 192.0.2.7:51980. The node is down")


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("plan",),
        ("peers", "list"),
        ("peers", "count"),
        ("peers", "get", "x"),
        ("peers", "bans"),
        ("reload",),
    ],
)
def test_without_a_node_every_question_ends_with_3(wgmesh: Run, words: tuple[str, ...]) -> None:
    outcome = wgmesh(*words)

    assert outcome.code == exits.NOT_RUNNING
    assert outcome.err == "wgmesh: no wgmesh is running on this machine; start it with `sudo wgmesh join`\n"


def test_a_bad_interface_name_is_a_usage_error(wgmesh: Run) -> None:
    outcome = wgmesh("status", "--interface", "../etc")

    assert outcome.code == exits.USAGE
    assert "interface" in outcome.err


def test_a_socket_path_that_is_a_file_ends_with_1(wgmesh: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")

    outcome = wgmesh("peers", "list", "--socket-path", tmp_path / "file")

    assert outcome.code == exits.FAILED
    assert "is a file and not a socket" in outcome.err
    assert (tmp_path / "file").read_text() == "precious"
