"""What is heard on a LAN: announcements that nobody can prove to all, so they are a beginning, never the last word."""

from __future__ import annotations

from wgmesh.core.announcement import Announcement
from wgmesh.core.envelope import MessageType
from wgmesh.core.model import CandidateSource, Endpoint
from wgmesh.discovery.contacts import Origin
from wgmesh.discovery.inbox import Message, Rejected, Rejection
from wgmesh.discovery.lan import DATAGRAM_MAX
from wgmesh.discovery.replay import Novelty
from wgmesh.discovery.roster import Roster, wireguard_port
from wgmesh.discovery.standing import Standing
from wgmesh.discovery.state import DiscoveryState

LAN = "lan"


class LanHearing:
    """Acts on announcements."""

    def __init__(self, state: DiscoveryState, roster: Roster) -> None:
        self._state = state
        self._roster = roster

    def check(self, message: Message, data: bytes, source: Endpoint, channel: str) -> None:
        """Raises Rejected for what does not belong on a LAN, or did not come from it."""
        interface = self._state.lan.interface(channel)
        if message.type not in (MessageType.ANNOUNCE, MessageType.GOODBYE):
            raise Rejected(Rejection.UNEXPECTED)
        if interface is None or len(data) > DATAGRAM_MAX or not interface.is_attached(source):
            raise Rejected(Rejection.OFF_LINK)
        if message.novelty is not Novelty.NEW:
            raise Rejected(Rejection.REPLAYED)

    def take(
        self, message: Message, body: Announcement, standing: Standing, source: Endpoint, now: float, channel: str
    ) -> None:
        """Takes an announcement. Of somebody who can prove himself it only says where to ask."""
        state = self._state
        key = message.sender
        endpoint = Endpoint(source.host, wireguard_port(body))
        known = state.table.get(key)
        is_new_run = state.clocks.is_new_run(key, message.stamp)
        is_first = known is None or known.direct_seen_at is None or is_new_run
        is_new_address = known is None or endpoint not in known.candidates.endpoints()
        is_news = False
        if standing is Standing.DOUBTFUL:
            is_news = (
                known is not None and body.extension is not None and body.extension.revision > known.facts.revision
            )
            if not is_new_address:  # it has told us of this address itself, or answered there
                self._roster.add_candidate(key, endpoint, CandidateSource.LAN, now)
        elif self._roster.learn(message, body, LAN, source, now):
            self._roster.add_candidate(key, endpoint, CandidateSource.LAN, now)
        else:
            return
        state.heard_at[LAN] = now
        record = state.table.get(key)
        if is_new_address or is_new_run or is_news or record is None or record.control_endpoint is None:
            port = (body.extension.exchange_port if body.extension is not None else None) or state.gossip_port
            state.contacts.add(Endpoint(source.host, port), Origin.HEARD, now, key, eager=is_first or is_news)
        if is_first:
            state.lan.hurry(channel, now)
