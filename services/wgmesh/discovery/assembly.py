"""How the parts of the discovery core are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wgmesh.core.addressing import claimed_nonce, mesh_ipv4_network
from wgmesh.core.clock import WallClock
from wgmesh.core.keys.keyschedule import MeshKeys, derive
from wgmesh.core.model import Endpoint
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.diagnosis.duplicate_keys import DuplicateKeys
from wgmesh.discovery.diagnosis.notices import Diagnosis
from wgmesh.discovery.diagnosis.own_key import OwnKey
from wgmesh.discovery.dispatch import Dispatch, routes
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.exchange.answers import Answers
from wgmesh.discovery.exchange.expiry import Expiry
from wgmesh.discovery.exchange.goodbye import Goodbyes
from wgmesh.discovery.exchange.hellos import Hellos
from wgmesh.discovery.exchange.stun_mapping import ExchangeMapping
from wgmesh.discovery.exchange.transactions import Transactions
from wgmesh.discovery.exchange.unanswered import Unanswered
from wgmesh.discovery.gossip.layer import GossipLayer
from wgmesh.discovery.gossip.upstream import UpstreamGossip
from wgmesh.discovery.health import HealthBoard
from wgmesh.discovery.lan.layer import LanLayer
from wgmesh.discovery.layer import Layer
from wgmesh.discovery.mainline.layer import MainlineLayer
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.contacts import Contacts
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.messages.inbox import Inbox
from wgmesh.discovery.messages.pair_keys import PairKeys
from wgmesh.discovery.outbox import Outbox
from wgmesh.discovery.own import Own
from wgmesh.discovery.private_dht.layer import PrivateDhtLayer
from wgmesh.discovery.rendezvous.layer import RendezvousLayer
from wgmesh.discovery.settings import DiscoverySettings


@dataclass(frozen=True, slots=True)
class Randomness:
    """Where the core's chances come from."""

    random_bytes: Callable[[int], bytes]
    random_unit: Callable[[], float]
    """Floats in 0..1."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the core drives, already wired to each other."""

    keys: MeshKeys
    own: Own
    inbox: Inbox
    pair_keys: PairKeys
    unanswered: Unanswered
    rules: AddressRules
    members: Membership
    contacts: Contacts
    hellos: Hellos
    goodbyes: Goodbyes
    expiry: Expiry
    mapping: ExchangeMapping
    layers: tuple[Layer, ...]
    dht: MainlineLayer | PrivateDhtLayer | None
    dispatch: Dispatch
    diagnosis: Diagnosis
    announcer: Announcer
    health: HealthBoard
    outbox: Outbox


def assemble(
    settings: DiscoverySettings, randomness: Randomness, boot: bytes, bounds: Bounds, wall: WallClock
) -> Parts:
    """Makes the parts for one mesh. `boot` are 8 random bytes that name this run of the process."""
    keys = derive(settings.secret)
    unit, random_bytes = randomness.random_unit, randomness.random_bytes
    rules = AddressRules((mesh_ipv4_network(keys, settings.mesh_subnet), keys.ipv6_network), settings.ipv6)
    outbox, pair_keys, duplicates = Outbox(), PairKeys(bounds.pair_keys, bounds.waiting_messages), DuplicateKeys()
    contacts = Contacts(unit, bounds.contacts)
    members = Membership(
        wall,
        rules,
        keys.gossip_port,
        lambda address, key: claimed_nonce(address, key, settings.secret, keys, settings.mesh_subnet) is not None,
        contacts,
        outbox,
        unit,
        bounds,
    )
    own = Own(wall, rules, keys.gossip_port, boot, members.table.witnesses, settings.lan)
    announcer = Announcer(
        own, keys.gossip_key, rules, random_bytes, pair_keys.get, members.table.rotation, duplicates.is_double
    )
    inbox = Inbox(wall, keys.gossip_key, members.banned, bounds.nonces)
    transactions = Transactions(settings.punching, bounds.hellos_in_flight)
    unanswered = Unanswered(bounds.hosts)
    hellos = Hellos(own, announcer, members, contacts, pair_keys, inbox, outbox, rules, transactions, unanswered)
    answers = Answers(announcer, members, contacts, hellos, outbox, rules)
    goodbyes = Goodbyes(announcer, members, contacts, hellos, outbox, rules, wall)
    own_key = OwnKey(own, announcer, members, pair_keys, outbox)
    diagnosis = Diagnosis(own, own_key, members.table, duplicates, outbox, lambda: announcer.sealed_count)

    # The ways of finding peers: each is a folder, and a line here.
    groups = (Endpoint(keys.multicast_group, keys.lan_port), Endpoint(keys.multicast_group6, keys.lan_port))
    lan = LanLayer(own, announcer, members, contacts, outbox, rules, groups, unit)
    upstream = UpstreamGossip(own, announcer, members, hellos, outbox, rules, unit, settings.gossip)
    gossip = GossipLayer(own, announcer, members, outbox, rules, upstream, unit)
    rendezvous = RendezvousLayer(
        own, announcer, members.table, contacts, hellos, outbox, rules, settings.punching, unit
    )
    dht: MainlineLayer | PrivateDhtLayer | None = None
    if settings.private_dht:
        dht = PrivateDhtLayer(own, members, outbox, unanswered, settings.secret, unit, random_bytes)
    elif settings.uses_mainline:
        dht = MainlineLayer(
            own, members, contacts, hellos, outbox, rules, pair_keys, settings.secret, unit, random_bytes
        )
    layers: tuple[Layer, ...] = (lan, gossip, rendezvous) if dht is None else (lan, gossip, rendezvous, dht)

    table = routes(hellos, answers, goodbyes, lan, gossip, rendezvous)
    return Parts(
        keys=keys,
        own=own,
        inbox=inbox,
        pair_keys=pair_keys,
        unanswered=unanswered,
        rules=rules,
        members=members,
        contacts=contacts,
        hellos=hellos,
        goodbyes=goodbyes,
        expiry=Expiry(members, hellos),
        mapping=ExchangeMapping(random_bytes),
        layers=layers,
        dht=dht,
        dispatch=Dispatch(own, inbox, pair_keys, members, diagnosis, hellos, answers, lan, layers, table, unanswered),
        diagnosis=diagnosis,
        announcer=announcer,
        health=HealthBoard(own, layers, members, hellos, outbox, rules, bool(settings.static_peers)),
        outbox=outbox,
    )
