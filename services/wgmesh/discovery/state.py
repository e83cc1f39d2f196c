"""The parts of the discovery core, put together for those who work on several of them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from wgmesh.core.model import Endpoint, IPAddress, PublicKey
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.address_rules import AddressRules
from wgmesh.discovery.announcer import Announcer
from wgmesh.discovery.contacts import Contacts, Refreshes
from wgmesh.discovery.doubles import Doubles
from wgmesh.discovery.events import Event, PeersChanged
from wgmesh.discovery.exchange import Exchange
from wgmesh.discovery.farewells import Farewells
from wgmesh.discovery.gate import Gate
from wgmesh.discovery.gossip import GossipRounds
from wgmesh.discovery.gossip_view import View
from wgmesh.discovery.lan import LanAnnouncements
from wgmesh.discovery.pair_keys import PairKeys
from wgmesh.discovery.peer_record import Change, PeerRecord
from wgmesh.discovery.peer_table import PeerTable
from wgmesh.discovery.replay import SenderClocks
from wgmesh.discovery.skew import ClockSkew
from wgmesh.discovery.standing import Possessions
from wgmesh.discovery.tombstones import Tombstones

OUTSIDE_HOSTS_MAX = 8  # two families, and some changes of each
OUTSIDE_FRESH_S = 3600.0
AGE_PUBLISH_S = 10.0  # how old a published age may be; a LAN of 20 nodes would else publish four times a second
OUTBOX_MAX = 8192  # the shell drains after every input; this bounds what one input can make


class Outbox:
    """What waits for the shell, and whether the table is worth publishing."""

    def __init__(self) -> None:
        self._transmits: deque[Transmit] = deque(maxlen=OUTBOX_MAX)
        self._events: deque[Event] = deque(maxlen=OUTBOX_MAX)
        self._is_changed = False
        self._publish_at: float | None = None
        self.revision = 0
        self.content_revision = 0
        """Grows with every change of the table that is more than age."""

    def send(self, transmit: Transmit) -> None:
        self._transmits.append(transmit)

    def report(self, event: Event) -> None:
        self._events.append(event)

    def note(self, change: Change, now: float) -> None:
        """Notes a change of the table: content is published with this input, mere age within seconds."""
        if change in (Change.CONTENT, Change.NEW_PEER):
            self._is_changed = True
            self.content_revision += 1
        elif change is Change.AGE and self._publish_at is None:
            self._publish_at = now + AGE_PUBLISH_S

    def publish(self) -> None:
        """Notes that something besides the table has changed."""
        self._is_changed = True

    def settle(self, now: float) -> None:
        """Ends one input: at most one publication."""
        if self._is_changed or (self._publish_at is not None and now >= self._publish_at):
            self._is_changed, self._publish_at = False, None
            self.revision += 1
            self.report(PeersChanged())

    def poll_transmit(self) -> Transmit | None:
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        return self._publish_at


@dataclass(frozen=True, slots=True)
class Witness:
    """Where a peer has seen our exchange socket."""

    endpoint: Endpoint
    seen_at: float


class OutsideHosts:
    """Addresses at which others say that they see this host."""

    def __init__(self) -> None:
        self._seen_at: OrderedDict[IPAddress, float] = OrderedDict()

    def note(self, host: IPAddress, now: float) -> None:
        self._seen_at[host] = now
        self._seen_at.move_to_end(host)
        if len(self._seen_at) > OUTSIDE_HOSTS_MAX:
            self._seen_at.popitem(last=False)

    def current(self, now: float) -> frozenset[IPAddress]:
        return frozenset(host for host, at in self._seen_at.items() if now - at < OUTSIDE_FRESH_S)


class DiscoveryState:
    """Everything that discovery remembers."""

    def __init__(
        self,
        announcer: Announcer,
        table: PeerTable,
        pair_keys: PairKeys,
        rules: AddressRules,
        gossip_port: int,
        random_unit: Callable[[], float],
        resend: bool,
    ) -> None:
        self.announcer = announcer
        self.pair_keys = pair_keys
        self.possessions = Possessions()
        self.gossip = GossipRounds(random_unit)
        self.doubles = Doubles()
        self.skew = ClockSkew()
        announcer.is_double = self.doubles.is_double
        self.rules = rules
        self.gossip_port = gossip_port
        self.table = table
        self.gate = Gate()
        self.tombstones = Tombstones()
        self.clocks = SenderClocks()
        self.contacts = Contacts(random_unit)
        self.refreshes = Refreshes(random_unit)
        self.exchange = Exchange(resend)
        self.farewells = Farewells()
        self.lan = LanAnnouncements(random_unit)
        self.outbox = Outbox()
        self.banned: set[PublicKey] = set()
        """Whom the operator wants nothing to do with: their messages are dropped, and news of them too."""
        self.witnesses: dict[PublicKey, Witness] = {}
        self.outside_hosts = OutsideHosts()
        self.exchange_port = gossip_port
        """Where our exchange socket listens."""
        self.mapped: Endpoint | None = None
        """Where the outside sees the exchange socket, if that is known and the same for everybody."""
        self.heard_at: dict[str, float] = {}
        self.started_at = float("inf")
        """When this run learned who it is."""

    def outside_port(self) -> int:
        """The port of our exchange socket as strangers should use it."""
        return self.exchange_port if self.mapped is None else self.mapped.port

    def set_mapped(self, mapped: Endpoint | None, now: float) -> None:
        """Sets where the outside sees the exchange socket."""
        if mapped == self.mapped:
            return
        self.mapped = mapped
        if mapped is not None:
            self.outside_hosts.note(mapped.host, now)
        self.outbox.publish()

    def own_hosts(self, now: float) -> frozenset[IPAddress]:
        """Every address of this host: its own, and those at which others see it."""
        own = self.announcer.description
        external = () if own is None else own.external_endpoints
        seen = {witness.endpoint.host for witness in self.witnesses.values()}
        hosts = {*self.announcer.local_hosts(), *(each.host for each in external), *seen}
        return frozenset(hosts | self.outside_hosts.current(now))

    def proven_count(self, now: float) -> int:
        """How many peers have a working tunnel."""
        return sum(record.is_proven(now) for record in self.table.records())

    def is_control_endpoint(self, address: Endpoint) -> bool:
        """Whether a peer has answered us from this address."""
        return self.table.is_control_endpoint(address)

    def view(self) -> View:
        """The members that we vouch for, ourselves among them, each at its revision: what gossip compares."""
        view, own = self.table.vouched, self.announcer.description
        if own is not None:
            view.note(own.public_key, self.announcer.revision)
        return view

    def exchange_port_of(self, record: PeerRecord) -> int:
        """Where a peer listens: it says so where another program has the mesh's port."""
        return record.facts.exchange_port or self.gossip_port
