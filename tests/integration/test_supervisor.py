"""The supervisor with real forked services on real unix sockets."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.promises import promised
from support.supervised import SERVICES, Supervised, is_alive, wait_for_end
from wgmesh.runtime.callers import CALLERS, socket_path


def test_services_become_ready_in_the_order_of_their_requirements(base: Path) -> None:
    with Supervised(base) as node:
        node.wait_until_ready()

    order = [line["child"] for line in node.lines if line.get("event") in ("child started", "child ready")]
    started = {name: order.index(name) for name in SERVICES}
    ready = {name: len(order) - 1 - order[::-1].index(name) for name in SERVICES}
    assert started["nat"] > ready["wireguard"]
    assert started["discovery"] > ready["wireguard"]
    assert started["node"] > max(ready["nat"], ready["discovery"])


async def test_every_service_serves_health_to_each_caller_once_it_is_ready(base: Path) -> None:
    with Supervised(base) as node:
        node.wait_until_ready()
        pairs = [(service, caller) for service, callers in CALLERS.items() for caller in callers]
        for service, caller in pairs:
            path = socket_path(base / "run/toy0", service, caller)
            async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                answer = await stub.Check(health_pb2.HealthCheckRequest(service="wgmesh.v1.RuntimeService"), timeout=20)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_killed_service_is_back_within_two_seconds_and_the_others_never_noticed(base: Path, name: str) -> None:
    with Supervised(base) as node:
        pids = node.wait_until_ready()
        killed_at = time.monotonic()
        os.kill(pids[name], signal.SIGKILL)
        line = node.wait_for("child ready", child=name)

        assert time.monotonic() - killed_at < promised(2.0)
        assert line["pid"] != pids[name]
        assert all(is_alive(pid) for other, pid in pids.items() if other != name)


def test_a_stop_ends_services_in_reverse_order(base: Path) -> None:
    with Supervised(base) as node:
        node.wait_until_ready()
        node.process.send_signal(signal.SIGTERM)
        code = node.exit_code()

    ended = [line["child"] for line in node.events("child ended")]
    assert code == 0
    assert set(ended) == SERVICES
    assert ended.index("node") < min(ended.index("nat"), ended.index("discovery"))
    assert max(ended.index("nat"), ended.index("discovery")) < ended.index("wireguard")
    assert {line["how"] for line in node.events("child ended")} == {"code 0"}
    assert list((base / "run/toy0").rglob("*.sock")) == []


def test_a_node_that_ctrl_c_has_stopped_ends_with_130(base: Path) -> None:
    with Supervised(base) as node:
        node.wait_until_ready()
        node.process.send_signal(signal.SIGINT)

        assert node.exit_code() == 130
    assert {line["how"] for line in node.events("child ended")} == {"code 0"}


def test_the_child_that_clients_speak_to_ends_the_node_and_any_other_that_asks_for_it_is_not_heard(base: Path) -> None:
    with Supervised(base, "asks to stop") as node:
        code = node.exit_code()

    asked = [line["service"] for line in node.events("toy asks to stop")]
    assert code == 0
    assert set(asked) == SERVICES
    assert asked[-1] == "node"  # the others were ready, and had asked, before it was started
    assert {line["how"] for line in node.events("child ended")} == {"code 0"}


def test_a_wish_to_stop_does_not_wait_for_the_look_at_heartbeats(base: Path) -> None:
    assert any(stops_before_a_look(base / str(attempt)) for attempt in range(5))  # a busy machine may be late


def stops_before_a_look(base: Path) -> bool:
    base.mkdir()
    with Supervised(base, "asks to stop between looks") as node:
        assert node.exit_code() == 0
    return bool(node.events("toy stopped")[0]["before_look"])


def test_a_second_stop_signal_hastens_a_service_that_does_not_end(base: Path) -> None:
    with Supervised(base, "stubborn") as node:
        node.wait_until_ready()
        node.process.send_signal(signal.SIGINT)
        node.wait_for("node stopping")
        node.process.send_signal(signal.SIGINT)

        assert node.exit_code() == 130
    assert {line["child"] for line in node.events("child killed")} == {"node"}


def test_a_second_start_is_refused_and_disturbs_nothing(base: Path) -> None:
    with Supervised(base) as node:
        pids = node.wait_until_ready()
        with Supervised(base) as second:
            assert second.exit_code() == 1

        assert f"pid {node.process.pid}" in "".join(second.text)
        assert all(is_alive(pid) for pid in pids.values())
    assert node.events("child restarts") == []


def test_killing_the_supervisor_leaves_no_service_but_a_process_in_its_own_session(base: Path) -> None:
    with Supervised(base, "grandchild") as node:
        pids = node.wait_until_ready()
        grandchild = int((base / "state/grandchild.tmp").read_text())
        try:
            node.process.kill()

            assert all(wait_for_end(pid, promised(3.0)) for pid in pids.values())
            assert is_alive(grandchild)
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_a_node_starts_again_at_once_after_its_supervisor_was_killed(base: Path) -> None:
    with Supervised(base) as node:
        node.wait_until_ready()
        node.process.kill()
        node.exit_code()

    with Supervised(base) as again:
        again.wait_until_ready()


def test_a_service_that_gives_up_at_its_first_start_ends_the_node_with_its_reason_once(base: Path) -> None:
    with Supervised(base, "corrupt") as node:
        assert node.exit_code() == 78

    assert "".join(node.text).count("The identity is corrupt. Restore it.") == 1
    assert "wgmesh: The identity is corrupt. Restore it.\n" in node.text


def test_a_state_directory_that_is_a_file_is_refused_in_one_sentence(base: Path) -> None:
    (base / "state").write_text("precious")
    with Supervised(base) as node:
        assert node.exit_code() == 1

    assert [line for line in node.text if line.startswith("wgmesh:")] == [
        f"wgmesh: --state-dir: {base}/state exists and is not a directory. Choose another one.\n"
    ]
    assert (base / "state").read_text() == "precious"


def test_a_reload_reaches_the_services(base: Path) -> None:
    with Supervised(base, "reload") as node:
        node.wait_until_ready()
        node.process.send_signal(signal.SIGHUP)
        reloaded = {node.wait_for("toy reloaded")["service"] for _ in SERVICES}

    assert reloaded == SERVICES
