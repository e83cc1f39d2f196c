"""How the parts of the discovery core are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wgmesh.core.addressing import claimed_nonce, mesh_ipv4_network
from wgmesh.core.keyschedule import MeshKeys, derive
from wgmesh.discovery.address_rules import AddressRules
from wgmesh.discovery.announcer import Announcer
from wgmesh.discovery.comparing import Comparing
from wgmesh.discovery.departures import Departures
from wgmesh.discovery.directory import Directory
from wgmesh.discovery.finding import Finding
from wgmesh.discovery.greetings import Greetings
from wgmesh.discovery.inbox import Inbox
from wgmesh.discovery.layers import Layers
from wgmesh.discovery.mapping import ExchangeMapping
from wgmesh.discovery.meeting import Meeting
from wgmesh.discovery.notices import NoticeBoard
from wgmesh.discovery.pair_keys import PairKeys
from wgmesh.discovery.peer_table import PeerTable
from wgmesh.discovery.reception import Reception
from wgmesh.discovery.roster import Roster
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.discovery.state import DiscoveryState
from wgmesh.discovery.upstream_gossip import UpstreamGossip


@dataclass(frozen=True, slots=True)
class Randomness:
    """Where the core's chances come from."""

    random_bytes: Callable[[int], bytes]
    random_unit: Callable[[], float]
    """Floats in 0..1."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts, already wired to each other. What the settings do not ask for is None."""

    keys: MeshKeys
    state: DiscoveryState
    roster: Roster
    greetings: Greetings
    comparing: Comparing
    meeting: Meeting
    reception: Reception
    departures: Departures
    mapping: ExchangeMapping
    layers: Layers
    notices: NoticeBoard
    upstream_gossip: UpstreamGossip
    finding: Finding | None
    directory: Directory | None


def assemble(settings: DiscoverySettings, randomness: Randomness, boot: bytes) -> Parts:
    """Makes the parts for one mesh. `boot` are 8 random bytes that name this run of the process."""
    keys = derive(settings.secret)
    chance, random_bytes = randomness.random_unit, randomness.random_bytes
    rules = AddressRules((mesh_ipv4_network(keys, settings.mesh_subnet), keys.ipv6_network), settings.ipv6)
    table, pair_keys = PeerTable(), PairKeys()
    announcer = Announcer(keys.gossip_key, rules, boot, random_bytes, pair_keys.get, table.rotation)
    state = DiscoveryState(announcer, table, pair_keys, rules, keys.gossip_port, chance, settings.punching)
    roster = Roster(
        state, lambda address, key: claimed_nonce(address, key, settings.secret, keys, settings.mesh_subnet) is not None
    )
    greetings = Greetings(state, roster)
    comparing = Comparing(state, roster)
    meeting = Meeting(state, greetings, settings.punching, chance)
    inbox = Inbox(keys.gossip_key, state.gate, state.banned)
    finding: Finding | None = None
    if settings.uses_mainline:
        finding = Finding(state, roster, settings.secret, chance, random_bytes)
        greetings.on_stranger_met = finding.met
        greetings.on_stranger_silent = finding.unanswered
    directory: Directory | None = None
    if settings.private_dht:
        directory = Directory(state, roster, settings.secret, chance, random_bytes)
    dht = finding or directory
    return Parts(
        keys=keys,
        state=state,
        roster=roster,
        greetings=greetings,
        comparing=comparing,
        meeting=meeting,
        reception=Reception(state, inbox, roster, greetings, comparing, meeting, settings.gossip),
        departures=Departures(state, roster, greetings),
        mapping=ExchangeMapping(random_bytes),
        layers=Layers(settings, state, None if dht is None else dht.layer),
        notices=NoticeBoard(state),
        upstream_gossip=UpstreamGossip(state, greetings, chance),
        finding=finding,
        directory=directory,
    )
