"""What the operator should know of the host around the device."""

from __future__ import annotations

from collections.abc import Iterator

from wgmesh.core.model import NatReport, ObservedDevice, Overlap
from wgmesh.node.addresses import OwnAddresses
from wgmesh.v1 import node_service_pb2 as node_pb2

SHOWN_MAX = 8  # a status that fits a screen; more of them have one cause

OVERLAP = "network-overlap"
UNGUARDED = "mesh-addresses-not-guarded"
UNOPENED = "no-raw-sockets"

CHOOSE = "choose another network with --mesh-subnet, the same on every node"


def nat_warnings(report: NatReport) -> list[node_pb2.Warning]:
    """Whether the nat process may speak from WireGuard's own port."""
    if report.external_endpoint is None or report.from_wireguard_port:
        return []
    text = (
        "The nat process may not open raw sockets, so the port at which the outside sees this node is a guess, "
        "and peers behind some NATs are not reached. Let the node have CAP_NET_RAW."
    )
    return [node_pb2.Warning(code=UNOPENED, text=text)]


def host_warnings(device: ObservedDevice | None, own: OwnAddresses) -> list[node_pb2.Warning]:
    """What the host has in the mesh's networks, and whether mesh addresses are guarded."""
    if device is None:
        return []
    found = [node_pb2.Warning(code=OVERLAP, text=text) for text in _overlaps(device.overlaps, own)]
    if device.guard_problem:
        found.append(node_pb2.Warning(code=UNGUARDED, text=device.guard_problem))
    return found


def _overlaps(overlaps: tuple[Overlap, ...], own: OwnAddresses) -> Iterator[str]:
    for each in overlaps[:SHOWN_MAX]:
        yield f"{each.network} {each.what}{_consequence(each, own)}"
    if len(overlaps) > SHOWN_MAX:
        yield f"{len(overlaps) - SHOWN_MAX} more networks of this host lie in the mesh's own: {CHOOSE}."


def _consequence(overlap: Overlap, own: OwnAddresses) -> str:
    if overlap.is_warning:
        return f", and the mesh hides a part of it. If that is needed outside the mesh, {CHOOSE}."
    version = overlap.network.version
    address = own.ipv4 if version == 4 else own.ipv6
    way_out = CHOOSE if version == 4 else "leave one of the two meshes"
    if address in overlap.network:
        return f"; {address} of this node lies in it, so it has no IPv{version} in the mesh. To mend that, {way_out}."
    return f" and is left to this host: members with addresses in it are not reached. To mend that, {way_out}."
