"""Where the outside sees this node, as far as others are told."""

from __future__ import annotations

from wgmesh.core.model import Endpoint, NatReport

SIGHTINGS_ANNOUNCED_MAX = 2  # an honest server's and a lying one's; each costs our peers datagrams


def seen_outside(report: NatReport) -> tuple[Endpoint, ...]:
    """The outside endpoint, or all that were seen where the STUN servers are divided."""
    if report.external_endpoint is not None:
        return (report.external_endpoint,)
    return tuple(sighting.endpoint for sighting in report.sightings[:SIGHTINGS_ANNOUNCED_MAX])
