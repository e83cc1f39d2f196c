"""This node's own record, as it is put into a DHT."""

from __future__ import annotations

from collections.abc import Sequence

from wgmesh.core.member_record import ENDPOINTS_MAX, MemberRecord
from wgmesh.core.model import Endpoint
from wgmesh.discovery.state import DiscoveryState


def own_record(state: DiscoveryState, places: Sequence[Endpoint], now: float) -> MemberRecord:
    """Returns what the record says at `now`. `places` are addresses at which a DHT sees our exchange socket."""
    description = state.announcer.description
    assert description is not None
    local = [Endpoint(host, state.exchange_port) for host in state.announcer.local_hosts()]
    outside = (state.mapped,) if state.mapped is not None else ()
    seen = [witness.endpoint for witness in state.witnesses.values()]
    exchanges = tuple(dict.fromkeys((*outside, *places, *local, *seen)))
    return MemberRecord(
        public_key=description.public_key,
        mesh_ipv4=description.mesh_ipv4,
        issued_at=int(now),
        revision=state.announcer.revision,
        exchanges=exchanges[:ENDPOINTS_MAX],
        candidates=state.announcer.own_candidates()[:ENDPOINTS_MAX],
        hostname=description.hostname,
        nat_type=description.nat_type,
        introducer=description.introducer,
    )
