"""Under which name a node that has its host's name is announced when the host gets another one."""

from __future__ import annotations

from wgmesh.core.hostname import normalised_hostname
from wgmesh.core.model import IPNetwork
from wgmesh.core.wire.announcement_room import networks_problem


def renamed(before: str, host_name: str, advertised: tuple[IPNetwork, ...]) -> str:
    """Returns the name to announce: that of the host, or the one before where that leaves no room for the networks."""
    name = normalised_hostname(host_name)
    return before if networks_problem(advertised, name) else name
