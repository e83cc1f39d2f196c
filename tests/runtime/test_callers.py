"""The table of who may call what, compared with what there is to call."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from wgmesh.runtime.callers import CALLERS, CONTROL, socket_path
from wgmesh.supervisor.settings import IDENTITIES
from wgmesh.v1 import (
    discovery_service_pb2,
    nat_service_pb2,
    node_service_pb2,
    runtime_service_pb2,
    wireguard_service_pb2,
)

SERVED: dict[str, tuple[FileDescriptor, ...]] = {
    "wireguard": (wireguard_service_pb2.DESCRIPTOR,),
    "discovery": (discovery_service_pb2.DESCRIPTOR,),
    "nat": (nat_service_pb2.DESCRIPTOR,),
    "node": (node_service_pb2.DESCRIPTOR,),
    "metrics": (metrics_service_pb2.DESCRIPTOR, trace_service_pb2.DESCRIPTOR),
}


def methods(service: str) -> set[str]:
    """All methods that a process serves, with those that every process serves."""
    files = (*SERVED[service], runtime_service_pb2.DESCRIPTOR)
    described = (each for file in files for each in file.services_by_name.values())
    return {f"/{each.full_name}/{method.name}" for each in described for method in each.methods}


@pytest.mark.parametrize("service", sorted(SERVED))
def test_every_method_has_a_caller_and_every_entry_is_something_that_is_served(service: str) -> None:
    known = methods(service)

    reached = {method for access in CALLERS[service].values() for method in known if access.allows(method)}

    assert reached == known
    for access in CALLERS[service].values():
        for name in access.calls:
            assert any(method.removeprefix("/") == name or method.startswith(f"/{name}/") for method in known), name


def test_the_processes_that_call_are_those_that_have_users() -> None:
    assert CALLERS.keys() == IDENTITIES.keys()
    assert {caller for callers in CALLERS.values() for caller in callers} <= {*IDENTITIES, CONTROL}


@pytest.mark.parametrize(
    ("caller", "allowed"),
    [("node", {"ApplyDevice", "PlanDevice", "WatchDevice", "SetLogLevel"}), ("discovery", {"AgreePairKeys"})],
)
def test_the_wireguard_process_takes_devices_from_the_node_and_keys_to_agree_on_from_discovery(
    caller: str, allowed: set[str]
) -> None:
    access = CALLERS["wireguard"][caller]

    assert {method.rpartition("/")[2] for method in methods("wireguard") if access.allows(method)} == allowed


def test_nobody_else_has_a_socket_of_the_wireguard_process() -> None:
    assert CALLERS["wireguard"].keys() == {"node", "discovery"}


def test_nat_may_look_at_peers_and_not_say_who_we_are() -> None:
    access = CALLERS["discovery"]["nat"]

    assert {method for method in methods("discovery") if access.allows(method)} == {
        "/wgmesh.v1.DiscoveryService/WatchPeers"
    }


def test_people_call_the_node_alone() -> None:
    assert [service for service, callers in CALLERS.items() if CONTROL in callers] == ["node"]


def test_no_two_pairs_share_a_directory() -> None:
    paths = [
        socket_path(Path("/run/wgmesh/wg0"), service, caller) for service in CALLERS for caller in CALLERS[service]
    ]

    assert len({path.parent for path in paths}) == len(paths)
