"""The NAT report and the paths."""

from __future__ import annotations

from wgmesh.convert.scalar import (
    duration,
    endpoint_from_proto,
    endpoint_to_proto,
    endpoint_value,
    public_key,
    seconds,
    timestamp,
)
from wgmesh.core.model import Mapping, NatReport, Path, PathsSnapshot, PortMapping, Sighting
from wgmesh.v1 import nat_service_pb2 as nat_pb2

_MAPPINGS = {
    Mapping.UNKNOWN: nat_pb2.MAPPING_UNSPECIFIED,
    Mapping.NONE: nat_pb2.MAPPING_NONE,
    Mapping.ENDPOINT_INDEPENDENT: nat_pb2.MAPPING_ENDPOINT_INDEPENDENT,
    Mapping.ADDRESS_DEPENDENT: nat_pb2.MAPPING_ADDRESS_DEPENDENT,
}
_MAPPING_VALUES = {number: mapping for mapping, number in _MAPPINGS.items()}


def nat_report_to_proto(report: NatReport) -> nat_pb2.NatReport:
    return nat_pb2.NatReport(
        mapping=_MAPPINGS[report.mapping],
        external_endpoint=endpoint_to_proto(report.external_endpoint),
        from_wireguard_port=report.from_wireguard_port,
        answer_time=timestamp(report.answered_at),
        detail=report.detail,
        enabled=report.enabled,
        sightings=[_sighting_to_proto(sighting) for sighting in report.sightings],
        port_mapping=_port_mapping_to_proto(report.port_mapping),
    )


def nat_report_from_proto(message: nat_pb2.NatReport) -> NatReport:
    """A mapping that this version does not know reads as UNKNOWN. Raises InvalidInput."""
    return NatReport(
        enabled=message.enabled,
        mapping=_MAPPING_VALUES.get(message.mapping, Mapping.UNKNOWN),
        external_endpoint=endpoint_from_proto(message, "external_endpoint"),
        from_wireguard_port=message.from_wireguard_port,
        answered_at=seconds(message, "answer_time"),
        detail=message.detail,
        sightings=tuple(_sighting_from_proto(sighting) for sighting in message.sightings),
        port_mapping=_port_mapping_from_proto(message.port_mapping),
    )


def _port_mapping_to_proto(mapping: PortMapping) -> nat_pb2.PortMapping:
    return nat_pb2.PortMapping(
        enabled=mapping.enabled,
        protocol=mapping.protocol,
        external_endpoint=endpoint_to_proto(mapping.external_endpoint),
        exchange_endpoint=endpoint_to_proto(mapping.exchange_endpoint),
        confirmed=mapping.is_confirmed,
        renew_time=timestamp(mapping.renew_at),
        detail=mapping.detail,
    )


def _port_mapping_from_proto(message: nat_pb2.PortMapping) -> PortMapping:
    return PortMapping(
        enabled=message.enabled,
        protocol=message.protocol,
        external_endpoint=endpoint_from_proto(message, "external_endpoint"),
        exchange_endpoint=endpoint_from_proto(message, "exchange_endpoint"),
        is_confirmed=message.confirmed,
        renew_at=seconds(message, "renew_time"),
        detail=message.detail,
    )


def _sighting_to_proto(sighting: Sighting) -> nat_pb2.Sighting:
    return nat_pb2.Sighting(
        endpoint=endpoint_to_proto(sighting.endpoint),
        servers=[message for server in sighting.servers if (message := endpoint_to_proto(server))],
        peer_count=sighting.peers,
    )


def _sighting_from_proto(message: nat_pb2.Sighting) -> Sighting:
    return Sighting(
        endpoint_value(message.endpoint),
        tuple(endpoint_value(server) for server in message.servers),
        message.peer_count,
    )


def path_to_proto(path: Path) -> nat_pb2.Path:
    return nat_pb2.Path(
        public_key=path.public_key.raw,
        round_trip_time=duration(path.rtt_s),
        answer_time=timestamp(path.answered_at),
        unanswered_count=path.unanswered_count,
    )


def path_from_proto(message: nat_pb2.Path) -> Path:
    """Raises InvalidInput."""
    return Path(
        public_key=public_key(message.public_key),
        rtt_s=seconds(message, "round_trip_time"),
        answered_at=seconds(message, "answer_time"),
        unanswered_count=message.unanswered_count,
    )


def paths_snapshot_to_proto(snapshot: PathsSnapshot) -> nat_pb2.WatchPathsResponse:
    return nat_pb2.WatchPathsResponse(
        revision=snapshot.revision,
        paths=[path_to_proto(path) for path in snapshot.paths],
        report=nat_report_to_proto(snapshot.report),
    )


def paths_snapshot_from_proto(message: nat_pb2.WatchPathsResponse) -> PathsSnapshot:
    """Raises InvalidInput."""
    return PathsSnapshot(
        revision=message.revision,
        paths=tuple(path_from_proto(path) for path in message.paths),
        report=nat_report_from_proto(message.report),
    )
