"""This node's own record, as it is put into a DHT."""

from __future__ import annotations

from collections.abc import Sequence

from wgmesh.core.model import Endpoint
from wgmesh.core.wire.member_record import ENDPOINTS_MAX, MemberRecord
from wgmesh.discovery.own import Own


def own_record(own: Own, places: Sequence[Endpoint], now: float) -> MemberRecord:
    """Returns what the record says at `now`. `places` are addresses at which a DHT sees our exchange socket."""
    description = own.described
    local = [Endpoint(host, own.exchange_port) for host in own.local_hosts()]
    mapped = () if own.mapped_exchange is None else (own.mapped_exchange,)
    exchanges = tuple(dict.fromkeys((*mapped, *own.mappings, *places, *local, *own.seen_endpoints())))
    return MemberRecord(
        public_key=description.public_key,
        mesh_ipv4=description.mesh_ipv4,
        issued_at=int(own.wall.at(now)),
        revision=own.revision,
        exchanges=exchanges[:ENDPOINTS_MAX],
        candidates=own.candidates()[:ENDPOINTS_MAX],
        hostname=description.hostname,
        nat_type=description.nat_type,
        introducer=description.introducer,
    )
