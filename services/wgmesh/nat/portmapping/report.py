"""What is said of port mapping: to the node, and in the log."""

from __future__ import annotations

from wgmesh.core.model import NatReport, PortMapping
from wgmesh.nat.portmapping.external import agrees
from wgmesh.nat.portmapping.mapper import Mapper, Wanted

NOT_BEHIND_NAT = "not asked: no NAT is known of"
NO_GATEWAY = "not asked: no default route leads to a router with a private address"
NO_STUN = "not asked: STUN is off, and nothing else confirms what a router says"
ASKING = "the router is being asked"


def port_mapping(mapper: Mapper, wanted: Wanted, report: NatReport) -> PortMapping:
    """What the router forwards, and whether STUN agrees with it."""
    wireguard = mapper.mapping(wanted.ports[0])
    if wireguard is None:
        return PortMapping(enabled=True, detail=mapper.reason or ASKING)
    exchange = mapper.mapping(wanted.ports[1]) if len(wanted.ports) > 1 else None
    is_confirmed = agrees(wireguard.external, report)
    if exchange is not None and exchange.external.host != wireguard.external.host:
        exchange = None
    return PortMapping(
        enabled=True,
        protocol=wireguard.protocol,
        external_endpoint=wireguard.external,
        exchange_endpoint=None if exchange is None else exchange.external,
        is_confirmed=is_confirmed,
        renew_at=mapper.renew_at,
        detail="" if is_confirmed else f"STUN does not see this host at {wireguard.external.host}",
    )
