"""What each message does, by type and by the way it came.

exchange  HELLO (always answered), REPLY (to ours only), GOODBYE (doubted), ANNOUNCE (through the tunnel only),
          PROBE (answered and forgotten)
LAN       ANNOUNCE and GOODBYE, from the subnet they arrived on
"""

from __future__ import annotations

from wgmesh.core.announcement import Announcement
from wgmesh.core.envelope import MessageType
from wgmesh.core.model import CandidateSource, Endpoint
from wgmesh.core.probe import Probe
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.contacts import Origin
from wgmesh.discovery.farewells import FRESHNESS_S
from wgmesh.discovery.greetings import EXCHANGE, Greetings
from wgmesh.discovery.inbox import Inbox, Message, Rejected, Rejection
from wgmesh.discovery.lan import DATAGRAM_MAX
from wgmesh.discovery.peer_table import PeerRecord
from wgmesh.discovery.replay import Novelty
from wgmesh.discovery.roster import Roster, wireguard_port
from wgmesh.discovery.state import DiscoveryState
from wgmesh.discovery.tombstones import Departure

LAN = "lan"
GOSSIP = "gossip"


class Reception:
    """Opens datagrams and acts on them."""

    def __init__(self, state: DiscoveryState, inbox: Inbox, roster: Roster, greetings: Greetings, gossip: bool) -> None:
        """`gossip`: whether the operator wants to hear the gossip of Go nodes."""
        self._state = state
        self._inbox = inbox
        self._roster = roster
        self._greetings = greetings
        self._gossip = gossip

    def handle(self, data: bytes, source: Endpoint, now: float, channel: str) -> None:
        """Acts on one datagram. Raises Rejected."""
        own = self._state.announcer.description
        if own is None:
            return  # who we are is not known yet, so neither is whom this comes from
        message = self._inbox.open(data, source, own.public_key, now)
        if isinstance(message, Probe):
            self._on_probe(message, source, now, channel)
        elif channel:
            self._on_lan(message, data, source, now, channel)
        elif isinstance(message.body, Announcement):
            self._on_exchange(message, message.body, source, now)
        elif message.novelty is Novelty.NEW:
            self._on_goodbye(message, source, now)

    def _on_probe(self, probe: Probe, source: Endpoint, now: float, channel: str) -> None:
        if channel:
            raise Rejected(Rejection.UNEXPECTED)  # one multicast datagram must not make a whole LAN answer
        state = self._state
        state.outbox.send(Transmit(state.announcer.probe_reply(probe, source, now), source))

    def _on_exchange(self, message: Message, body: Announcement, source: Endpoint, now: float) -> None:
        is_new = message.novelty is Novelty.NEW
        match message.type:
            case MessageType.HELLO:
                self._on_hello(message, body, source, now)
            case MessageType.REPLY if is_new:
                self._greetings.handle_reply(message, body, source, now)
            case MessageType.ANNOUNCE if is_new:
                self._on_gossip(message, body, source, now)
            case _:
                raise Rejected(Rejection.REPLAYED)

    def _on_hello(self, message: Message, body: Announcement, source: Endpoint, now: float) -> None:
        """Answers, each time: Go resends the same bytes until it hears a REPLY. Learns at the first time only."""
        state = self._state
        is_new = message.novelty is Novelty.NEW
        is_news = is_new and state.clocks.is_current(message.sender, message.stamp)
        is_new_run = state.clocks.is_new_run(message.sender, message.stamp)
        if is_news and self._roster.learn(message, body, EXCHANGE, source, now):
            self._ask_back(message, source, now, is_new_run)
        known = self._greetings.known_to(message.sender) if is_new else ()
        state.outbox.send(Transmit(state.announcer.reply(source, now, known), source))

    def _ask_back(self, message: Message, source: Endpoint, now: float, is_new_run: bool) -> None:
        """A HELLO says where its sender seems to be; only an answer of our own proves it (BUG 15)."""
        state = self._state
        record = state.table.get(message.sender)
        if record is None or state.rules.is_in_mesh(source.host):
            return
        if is_new_run or record.control_endpoint != source:
            is_eager = is_new_run or record.control_endpoint is None
            state.contacts.add(source, Origin.HEARD, now, message.sender, eager=is_eager)

    def _on_gossip(self, message: Message, body: Announcement, source: Endpoint, now: float) -> None:
        """Gossip travels inside the tunnel, where WireGuard vouches for the source: elsewhere it is a forgery."""
        through_tunnel = self._state.rules.is_in_mesh(source.host) and source.host in (body.mesh_ipv4, body.mesh_ipv6)
        if not through_tunnel or not (self._gossip or body.extension is not None):
            raise Rejected(Rejection.UNEXPECTED)
        self._check_current(message)
        self._roster.learn(message, body, GOSSIP, source, now)

    def _on_lan(self, message: Message, data: bytes, source: Endpoint, now: float, channel: str) -> None:
        state = self._state
        interface = state.lan.interface(channel)
        if message.type not in (MessageType.ANNOUNCE, MessageType.GOODBYE):
            raise Rejected(Rejection.UNEXPECTED)
        if interface is None or len(data) > DATAGRAM_MAX or not interface.is_attached(source):
            raise Rejected(Rejection.OFF_LINK)
        if message.novelty is not Novelty.NEW:
            raise Rejected(Rejection.REPLAYED)
        if isinstance(message.body, Announcement):
            self._on_lan_announcement(message, message.body, source, now, channel)
        else:
            self._on_goodbye(message, source, now)

    def _on_lan_announcement(
        self, message: Message, body: Announcement, source: Endpoint, now: float, channel: str
    ) -> None:
        state = self._state
        self._check_current(message)
        key = message.sender
        endpoint = Endpoint(source.host, wireguard_port(body))
        known = state.table.get(key)
        is_new_run = state.clocks.is_new_run(key, message.stamp)
        is_first = known is None or known.direct_seen_at is None or is_new_run
        is_new_address = known is None or endpoint not in known.candidates.endpoints()
        if not self._roster.learn(message, body, LAN, source, now):
            return
        self._roster.add_candidate(key, endpoint, CandidateSource.LAN, now)
        record = state.table.get(key)
        if is_new_address or is_new_run or (record is not None and record.control_endpoint is None):
            port = state.gossip_port if record is None else state.exchange_port_of(record)
            state.contacts.add(Endpoint(source.host, port), Origin.HEARD, now, key, eager=is_first)
        if is_first:
            state.lan.hurry(channel, now)

    def _on_goodbye(self, message: Message, source: Endpoint, now: float) -> None:
        """A GOODBYE is proof of the group key only: it must come from where the peer is, after all that it has said."""
        state = self._state
        key, timestamp = message.sender, message.stamp.timestamp
        record = state.table.get(key)
        if record is None and state.tombstones.refuses_direct(key, timestamp, now):
            return  # said twice: on the LAN and to us
        if record is None or not self._speaks_from(source, record):
            raise Rejected(Rejection.UNKNOWN_SENDER)
        if abs(now - timestamp) > FRESHNESS_S:
            raise Rejected(Rejection.STALE)
        self._check_current(message)
        if not record.is_proven(now):
            self._roster.depart(key, Departure.GOODBYE, now, timestamp)
        elif not state.farewells.is_pending(key):
            state.farewells.suspect(key, timestamp, now)

    def _speaks_from(self, source: Endpoint, record: PeerRecord) -> bool:
        """Whether a source is one of a peer's addresses, or the one that it has said HELLO from most recently."""
        contact = self._state.contacts.get(source)
        return source.host in record.hosts() or (contact is not None and contact.key == record.key)

    def _check_current(self, message: Message) -> None:
        if not self._state.clocks.is_current(message.sender, message.stamp):
            raise Rejected(Rejection.STALE)
