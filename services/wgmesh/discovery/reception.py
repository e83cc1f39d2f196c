"""What each message does, by type and by the way it came.

exchange  HELLO (always answered), REPLY (to ours only), GOODBYE (doubted), ANNOUNCE and GOSSIP (through the tunnel
          only), PROBE (answered and forgotten)
LAN       ANNOUNCE and GOODBYE, from the subnet they arrived on
"""

from __future__ import annotations

from wgmesh.core.announcement import Announcement
from wgmesh.core.envelope import MessageType
from wgmesh.core.gossip_message import Gossip
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.probe import Probe
from wgmesh.core.rendezvous import Offer, Start
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.comparing import GOSSIP, Comparing
from wgmesh.discovery.contacts import Origin
from wgmesh.discovery.doubles import AFTERLIFE_S
from wgmesh.discovery.farewells import FRESHNESS_S
from wgmesh.discovery.greetings import EXCHANGE, Greetings
from wgmesh.discovery.inbox import Inbox, Message, Rejected, Rejection
from wgmesh.discovery.lan_hearing import LanHearing
from wgmesh.discovery.meeting import Meeting
from wgmesh.discovery.peer_record import PeerRecord
from wgmesh.discovery.replay import Novelty
from wgmesh.discovery.roster import Roster
from wgmesh.discovery.standing import Standing, judge
from wgmesh.discovery.state import DiscoveryState
from wgmesh.discovery.tombstones import Departure


class Reception:
    """Opens datagrams and acts on them."""

    def __init__(
        self,
        state: DiscoveryState,
        inbox: Inbox,
        roster: Roster,
        greetings: Greetings,
        comparing: Comparing,
        meeting: Meeting,
        upstream_gossip: bool,
    ) -> None:
        """`upstream_gossip`: whether the operator wants to hear the gossip of Go nodes."""
        self._state = state
        self._inbox = inbox
        self._roster = roster
        self._greetings = greetings
        self._comparing = comparing
        self._meeting = meeting
        self._lan = LanHearing(state, roster)
        self._upstream_gossip = upstream_gossip

    def handle(self, data: bytes, source: Endpoint, now: float, channel: str) -> None:
        """Acts on one datagram, or keeps it until the key with its sender is agreed. Raises Rejected."""
        state = self._state
        own = state.announcer.description
        if own is None:
            return  # who we are is not known yet, so neither is whom this comes from
        try:
            message = self._inbox.open(data, source, own.public_key, now)
        except Rejected as rejected:
            self._learn_from(rejected, source, now)
            raise
        if isinstance(message, Probe):
            self._on_probe(message, source, now, channel)
            return
        is_parked = (
            message.is_native
            and not state.pair_keys.is_settled(message.sender)
            and state.pair_keys.park(message, data, source, channel, now)
        )
        if not is_parked:
            self.act(message, data, source, now, channel)

    def _learn_from(self, rejected: Rejected, source: Endpoint, now: float) -> None:
        """Even what is refused may tell something of this node."""
        state = self._state
        if rejected.offset_s is not None:
            state.skew.note_refused(rejected.offset_s, now)
        message = rejected.message
        if message is None or not message.is_native or message.stamp.boot == state.announcer.boot:
            return
        if message.stamp.timestamp > state.started_at + AFTERLIFE_S:  # not of our own last run
            state.doubles.note_own(source, now)
            state.outbox.publish()

    def act(self, message: Message, data: bytes, source: Endpoint, now: float, channel: str) -> None:
        """Acts on one message, now that all that can be known of its sender is known. Raises Rejected."""
        state = self._state
        own = state.announcer.description
        assert own is not None
        standing = judge(message, own.public_key, state.pair_keys, state.possessions, now)
        match message.body:
            case Announcement() if channel:
                self._lan.check(message, data, source, channel)
                self._check_current(message)
                self._lan.take(message, message.body, standing, source, now, channel)
            case Announcement():
                self._on_exchange(message, message.body, standing, source, now)
            case Gossip() if not channel and message.novelty is Novelty.NEW:
                self._check_current(message)
                self._comparing.take(message, message.body, standing, source, now)
            case Offer() | Start() if not channel and message.novelty is Novelty.NEW:
                self._meeting.take(message.body, source, now)
            case Gossip() | Offer() | Start():
                raise Rejected(Rejection.UNEXPECTED)
            case _:
                if channel:
                    self._lan.check(message, data, source, channel)
                if message.novelty is Novelty.NEW:
                    self._on_goodbye(message, standing, source, now, channel)
        if standing is Standing.PROVEN:
            self._note_proven(message, now)

    def _note_proven(self, message: Message, now: float) -> None:
        state = self._state
        key = message.sender
        state.skew.note(key, message.stamp.timestamp, now)
        state.doubles.note(key, message.stamp, now)
        extension = None if isinstance(message.body, Offer | Start) else message.body.extension
        if extension is not None and extension.double:
            state.doubles.note_told(now)
        if key in state.table:
            state.possessions.note(key, now)
            state.outbox.note(state.table.note_possession(key, now), now)

    def _on_probe(self, probe: Probe, source: Endpoint, now: float, channel: str) -> None:
        if channel:
            raise Rejected(Rejection.UNEXPECTED)  # one multicast datagram must not make a whole LAN answer
        state = self._state
        state.outbox.send(Transmit(state.announcer.probe_reply(probe, source, now), source))

    def _on_exchange(
        self, message: Message, body: Announcement, standing: Standing, source: Endpoint, now: float
    ) -> None:
        is_new = message.novelty is Novelty.NEW
        if standing is not Standing.DOUBTFUL:
            self._meeting.heard(message.sender, source, now)
        match message.type:
            case MessageType.HELLO:
                self._on_hello(message, body, standing, source, now)
            case MessageType.REPLY if is_new:
                self._greetings.handle_reply(message, body, standing, source, now)
                self._meeting.answered(message.sender, now)
            case MessageType.ANNOUNCE if is_new:
                self._on_upstream_gossip(message, body, source, now)
            case _:
                raise Rejected(Rejection.REPLAYED)

    def _on_hello(self, message: Message, body: Announcement, standing: Standing, source: Endpoint, now: float) -> None:
        """Answers, each time: Go resends the same bytes until it hears a REPLY. Learns at the first time only."""
        state = self._state
        key = message.sender
        is_new = message.novelty is Novelty.NEW
        is_news = is_new and state.clocks.is_current(key, message.stamp)
        is_new_run = state.clocks.is_new_run(key, message.stamp)
        if is_news and standing is Standing.DOUBTFUL:
            self._ask_back(key, source, now, eager=True)  # it may have forgotten us: our HELLO lets it prove itself
        elif is_news and self._roster.learn(message, body, EXCHANGE, source, now):
            record = state.table.get(key)
            is_stranger = record is None or record.control_endpoint is None
            if is_new_run or record is None or record.control_endpoint != source:
                self._ask_back(key, source, now, eager=is_new_run or is_stranger)
        record = state.table.get(key)
        knows_the_rest = record is not None and record.facts.native and record.is_proven(now)
        known = self._greetings.known_to(key) if is_new and not knows_the_rest else ()
        state.outbox.send(Transmit(state.announcer.reply(source, now, key, known), source))

    def _ask_back(self, key: PublicKey, source: Endpoint, now: float, eager: bool) -> None:
        """A HELLO says where its sender seems to be; only an answer of our own proves it (BUG 15)."""
        if not self._state.rules.is_in_mesh(source.host):
            self._state.contacts.add(source, Origin.HEARD, now, key, eager=eager)

    def _on_upstream_gossip(self, message: Message, body: Announcement, source: Endpoint, now: float) -> None:
        """Gossip travels inside the tunnel, where WireGuard vouches for the source: elsewhere it is a forgery."""
        through_tunnel = self._state.rules.is_in_mesh(source.host) and source.host in (body.mesh_ipv4, body.mesh_ipv6)
        if not through_tunnel or not (self._upstream_gossip or body.extension is not None):
            raise Rejected(Rejection.UNEXPECTED)
        self._check_current(message)
        self._roster.learn(message, body, GOSSIP, source, now)

    def _on_goodbye(self, message: Message, standing: Standing, source: Endpoint, now: float, channel: str) -> None:
        """Without a proof a GOODBYE shows the group key only.

        Then it must come from where the peer is, after all that it has said, and a working tunnel is asked first.
        """
        state = self._state
        key, timestamp = message.sender, message.stamp.timestamp
        record = state.table.get(key)
        if record is None and state.tombstones.refuses_direct(key, timestamp, now):
            return  # said twice: on the LAN and to us
        if standing is Standing.DOUBTFUL and channel:
            return  # nobody can prove to a whole LAN that he leaves; he also says it to each
        if standing is Standing.DOUBTFUL:
            raise Rejected(Rejection.UNPROVEN)
        if record is None or not (standing is Standing.PROVEN or self._speaks_from(source, record)):
            raise Rejected(Rejection.UNKNOWN_SENDER)
        if standing is not Standing.PROVEN and abs(now - timestamp) > FRESHNESS_S:
            raise Rejected(Rejection.STALE)
        self._check_current(message)
        if standing is Standing.PROVEN or not record.is_proven(now):
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
