"""What status says of the processes: a connection shows less than what their supervisor sees."""

from __future__ import annotations

from wgmesh.node.service_health import service_healths
from wgmesh.runtime.node_report import NodeReport, ServiceReport


def test_a_process_that_hangs_does_not_count_as_connected_although_it_is() -> None:
    connected = {"discovery": True, "nat": True, "wireguard": False}
    services = (
        ServiceReport("discovery", "running", 9.0),
        ServiceReport("nat", "silent", 3.0),
        ServiceReport("node", "running", 9.0),
        ServiceReport("wireguard", "running", 0.1, 1),
    )
    report = NodeReport("wg0", 7, "/run/wgmesh/wg0", "/run/wgmesh/wg0/node.sock", "", services)

    shown = {health.name: health for health in service_healths(connected, report)}
    before = {health.name: health for health in service_healths({}, report)}

    assert {name: health.connected for name, health in shown.items()} == {
        "discovery": True, "nat": False, "node": True, "wireguard": False
    }  # fmt: skip
    assert (shown["nat"].state, shown["nat"].state_age.seconds) == ("silent", 3)
    assert shown["wireguard"].attempt == 1
    assert not before["nat"].connected  # also before the first turn


def test_without_a_word_of_the_supervisor_the_connections_are_told() -> None:
    shown = service_healths({"nat": True, "wireguard": False}, None)

    assert [(health.name, health.connected, health.state) for health in shown] == [
        ("nat", True, ""), ("wireguard", False, "")
    ]  # fmt: skip
