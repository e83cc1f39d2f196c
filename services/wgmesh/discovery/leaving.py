"""The last words of a node that stops in order."""

from __future__ import annotations

from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.greetings import Greetings
from wgmesh.discovery.state import DiscoveryState


def say_goodbye(state: DiscoveryState, greetings: Greetings, group: Endpoint, now: float) -> None:
    """Tells each peer, with the proof that it is us, each LAN, and whoever was asked and may know us by now."""
    for interface in state.lan.interfaces:  # neighbours that have heard us may not have reached us yet
        state.outbox.send(Transmit(state.announcer.goodbye(now), group, interface.channel))
    told = set()
    for record in state.table.records():
        address = greetings.control_address(record, now)
        if record.is_proven(now) and record.control_endpoint is None:
            address = greetings.tunnel_address(record)
        if address is not None:
            told.add(address)
            state.outbox.send(Transmit(state.announcer.goodbye(now, record.key), address))
    for target in state.exchange.targets():
        if target not in told and not state.rules.is_in_mesh(target.host):
            state.outbox.send(Transmit(state.announcer.goodbye(now), target))
