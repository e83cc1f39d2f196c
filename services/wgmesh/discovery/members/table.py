"""The peer table: what is known of every member, from whom, and since when.

Each kind of news has its own weight, which evidence.py gives in tables:
    spoken       somebody speaks in the peer's name: replaces what is known on no better evidence
    second hand  another member speaks of it: fills gaps, never refreshes, is not passed on until proven
    proof        WireGuard has reached it: whatever discovery hears or does not hear, the peer stays
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from math import inf

from wgmesh.core.model import CandidateSource, Endpoint, IPAddress, Peer, PeerProof, PublicKey, Silence
from wgmesh.core.timer_queue import TimerQueue
from wgmesh.discovery.bounds import PEERS_MAX
from wgmesh.discovery.members.address_claims import AddressClaims
from wgmesh.discovery.members.candidates import PROOF_FRESH_S, lifetime_s
from wgmesh.discovery.members.digest import View
from wgmesh.discovery.members.evidence import TOLD_PER_HOST_MAX, TOLD_SHARE, Evidence, Payer, Places
from wgmesh.discovery.members.record import CLAIM_S, NEVER, SILENT_S, TELLABLE_S, PeerFacts, PeerRecord, Witness
from wgmesh.discovery.members.rotation import Rotation
from wgmesh.discovery.messages.rate_limits import host_of
from wgmesh.discovery.outbox import Change, greater


class PeerTable:
    """All members but ourselves.

    What every datagram asks for is kept at hand: who claims an address, who is verified, what expires next.
    """

    def __init__(self, peers_max: int = PEERS_MAX) -> None:
        self._peers_max = peers_max
        self._records: dict[PublicKey, PeerRecord] = {}
        self._order: list[PublicKey] = []
        self._places = Places(peers_max)
        self._displaced: list[PeerRecord] = []
        self._expiries: TimerQueue[PublicKey] = TimerQueue()
        self._published: dict[PublicKey, tuple[float, Peer]] = {}
        self._touched: set[PublicKey] = set()
        self._claims = AddressClaims()
        self.rotation: Rotation[PublicKey] = Rotation()
        """The verified peers, in the order in which they should be mentioned to others."""
        self.vouched = View()
        """The verified peers at their revisions; like the rotation, without those that are lost or silent."""
        self._lost: set[PublicKey] = set()
        self._controls: Counter[Endpoint] = Counter()
        self.own_key: PublicKey | None = None

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: PublicKey) -> bool:
        return key in self._records

    def get(self, key: PublicKey) -> PeerRecord | None:
        return self._records.get(key)

    def records(self) -> tuple[PeerRecord, ...]:
        return tuple(self._records.values())

    def claimants(self, address: IPAddress) -> frozenset[PublicKey]:
        """Who is said to have this mesh address."""
        return self._claims.of(address)

    def is_control_endpoint(self, address: Endpoint) -> bool:
        """Whether a peer has answered us from this address."""
        return address in self._controls

    def proven_count(self, now: float) -> int:
        """How many peers have a working tunnel."""
        return sum(record.is_proven(now) for record in self._records.values())

    def witnesses(self) -> list[Witness]:
        """Where our peers have seen us."""
        return [record.witness for record in self._records.values() if record.witness is not None]

    def peers(self, now: float) -> tuple[Peer, ...]:
        """The table as values, in the order of the keys."""
        return tuple(self._peer(key, now) for key in self._order)

    def set_own_key(self, key: PublicKey) -> None:
        self.own_key = key
        self.remove(key)
        self._touched.update(self._records)

    def outranks(self, key: PublicKey, evidence: Evidence, source: Endpoint | None, now: float) -> bool:
        """Whether more is known of a peer than a word of this rank could say."""
        record = self._records.get(key)
        return record is not None and record.outranks(evidence, source, now)

    def hear(
        self,
        key: PublicKey,
        facts: PeerFacts,
        announced: Iterable[Endpoint],
        method: str,
        now: float,
        evidence: Evidence,
        source: Endpoint | None = None,
    ) -> Change:
        """Takes what is said in the peer's name. Its facts and announced addresses replace the earlier ones.

        NOTHING where better evidence stands against it, or where there is no place for it.
        """
        payer: Payer = key if source is None or evidence is Evidence.TUNNEL else host_of(source.host)
        record = self._records.get(key)
        is_known_well = record is not None and record.is_verified
        rank = evidence if is_known_well else self._places.rank(key, evidence, payer)
        if key == self.own_key or (record is not None and record.outranks(rank, source, now)):
            return Change.NOTHING
        change = Change.AGE
        if record is None:
            if not self._admit(rank, payer, evidence):
                return Change.NOTHING
            record = self._add(PeerRecord(key, facts, now), rank, payer)
            change = Change.NEW_PEER
        elif rank > record.evidence:
            if not self._admit(rank, payer, evidence, is_known=True):
                return Change.NOTHING
            self._places.set(key, rank, payer)
        is_elsewhere = record.candidates.replace(announced, CandidateSource.ANNOUNCED, now)
        is_first = rank.is_direct and record.direct_seen_at is None
        if is_elsewhere or record.facts != facts or is_first or rank > record.evidence:
            change = greater(change, Change.CONTENT)
        if record.facts.exchange_port != facts.exchange_port:
            self._set_control(record, None)  # it has started again, and listens elsewhere
        self._set_facts(record, facts)
        record.evidence = max(rank, record.evidence)
        if rank.is_direct:
            record.direct_seen_at = now
            record.drop_claims(None if source is None else source.host)
            self._verify(record)
            self._look_by(record, now + TELLABLE_S)
            return greater(change, record.label(method))
        record.claimed_at = now
        self._look_by(record, now + CLAIM_S)
        return greater(change, record.label(method) if source is None else record.label_claim(method, source.host))

    def hear_second_hand(
        self,
        key: PublicKey,
        facts: PeerFacts,
        endpoint: Endpoint | None,
        method: str,
        now: float,
        informant: Payer | None = None,
        is_reached: bool = False,
    ) -> Change:
        """Takes what another member says of a peer. Doing it again changes nothing.

        `informant` pays for the place; `is_reached` says that its tunnel works, so that it may tell of many.
        """
        record = self._records.get(key)
        if record is None:
            payer = method if informant is None else informant
            told_max = max(1, self._peers_max // TOLD_SHARE) if is_reached else TOLD_PER_HOST_MAX
            if key == self.own_key or self._places.told_by(payer) >= told_max:
                return Change.NOTHING
            if not self._admit(Evidence.HEARSAY, payer, Evidence.HEARSAY):
                return Change.NOTHING
            record = self._add(PeerRecord(key, facts, now), Evidence.HEARSAY, payer)
            record.label(method)
            change = Change.NEW_PEER
        else:
            change = self._fill_gaps(record, facts)
        if endpoint is not None and endpoint not in record.candidates.endpoints():
            self._hear_of(record, endpoint, CandidateSource.SECOND_HAND, now)
            if endpoint in record.candidates.endpoints():
                change = greater(change, Change.CONTENT)
        return change

    def restore(self, key: PublicKey, facts: PeerFacts, endpoint: Endpoint | None, now: float) -> Change:
        """Takes an entry of the peer cache. Whatever was heard in this life of the process is newer."""
        if key in self._records or key == self.own_key or len(self._records) >= self._peers_max:
            return Change.NOTHING
        record = self._add(PeerRecord(key, facts, now, methods=["cache"]), Evidence.HEARSAY, "cache")
        if endpoint is not None:
            self._hear_of(record, endpoint, CandidateSource.CACHE, now)
        return Change.NEW_PEER

    def add_candidate(self, key: PublicKey, endpoint: Endpoint, source: CandidateSource, now: float) -> Change:
        """Notes a further address of a known peer."""
        record = self._records.get(key)
        if record is None:
            return Change.NOTHING
        before = record.candidates.best_first(now)
        known = endpoint in record.candidates.endpoints()
        self._hear_of(record, endpoint, source, now)
        best = record.candidates.best_first(now)
        return Change.AGE if known and before[0].endpoint == best[0].endpoint else Change.CONTENT

    def set_control_endpoint(self, key: PublicKey, endpoint: Endpoint) -> Change:
        """Notes the exchange address from which a peer has answered us."""
        record = self._records.get(key)
        if record is None or (record.control_endpoint == endpoint and record.silence is None):
            return Change.NOTHING
        record.silence = None
        self._set_control(record, endpoint)
        self._touch(key)
        return Change.CONTENT

    def note_silence(self, key: PublicKey, endpoint: Endpoint, now: float) -> Change:
        """Notes that a peer was asked in vain at an exchange address. The first one since it last answered stands."""
        record = self._records.get(key)
        if record is None or record.silence is not None or record.is_proven(now):
            return Change.NOTHING
        record.silence = Silence(endpoint, now)
        self._touch(key)
        return Change.CONTENT

    def set_witness(self, key: PublicKey, endpoint: Endpoint, now: float) -> Change:
        """Notes where a peer has seen our exchange socket."""
        record = self._records.get(key)
        if record is None:
            return Change.NOTHING
        before, record.witness = record.witness, Witness(endpoint, now)
        return Change.NOTHING if before is not None and before.endpoint == endpoint else Change.CONTENT

    def label(self, key: PublicKey, method: str, claimed_from: IPAddress | None = None) -> Change:
        """Notes a further way in which a peer was found, or said to be by somebody at `claimed_from`."""
        record = self._records.get(key)
        if record is None:
            return Change.NOTHING
        self._touch(key)
        return record.label(method) if claimed_from is None else record.label_claim(method, claimed_from)

    def note_possession(self, key: PublicKey, now: float) -> Change:
        """Notes that a peer has just proven to hold its private key."""
        record = self._records.get(key)
        if record is None:
            return Change.NOTHING
        change = Change.CONTENT if record.possession_at is None else Change.AGE
        record.possession_at = now
        self._touch(key)
        return change

    def set_traceparent(self, key: PublicKey, traceparent: str) -> None:
        """Gives a peer the trace that follows its joining."""
        record = self._records.get(key)
        if record is not None:
            record.traceparent = traceparent
            self._touch(key)

    def prove(self, proofs: Iterable[PeerProof], now: float) -> Change:
        """Takes the proofs of the data path. Proofs of unknown peers are no concern of discovery."""
        change = Change.NOTHING
        for proof in proofs:
            record = self._records.get(proof.public_key)
            if record is None or proof.proven_at <= (record.proven_at or NEVER):
                continue
            change = greater(change, self._prove(record, proof.endpoint, min(proof.proven_at, now), now))
        return change

    def forget_candidates(self, is_unusable: Callable[[Endpoint], bool]) -> Change:
        """Drops the addresses for which that holds, of all peers."""
        change = Change.NOTHING
        for record in self._records.values():
            if record.candidates.forget(is_unusable):
                self._touch(record.key)
                change = Change.CONTENT
        return change

    def set_lost(self, keys: AbstractSet[PublicKey], now: float) -> list[PeerRecord]:
        """Makes these all the peers whose tunnels do not answer. Returns those that were not among them before."""
        wanted = {key for key in keys if key in self._records}
        for key in self._lost - wanted:
            found = self._records[key]
            found.is_lost = False
            self._touch(key)
            if found.is_tellable(now):
                self._verify(found)
        added = [self._records[key] for key in sorted(wanted - self._lost)]
        for record in added:
            record.is_lost = True
            record.candidates.withdraw(now)
            self._unmention(record.key)
            self._touch(record.key)
        self._lost = wanted
        return added

    def remove(self, key: PublicKey) -> bool:
        record = self._records.pop(key, None)
        if record is None:
            return False
        del self._order[bisect_left(self._order, key)]
        self._places.drop(key)
        self._expiries.drop(key)
        self._touch(key)
        self._claims.drop(key)
        self._set_control(record, None)
        self._lost.discard(key)
        self._unmention(key)
        return True

    def take_displaced(self) -> tuple[PeerRecord, ...]:
        """The peers that have given way to others since the last call."""
        displaced = tuple(self._displaced)
        self._displaced.clear()
        return displaced

    def expire(self, now: float) -> tuple[tuple[PeerRecord, ...], Change]:
        """Drops old addresses, and peers that neither speak nor carry traffic. Returns those."""
        gone, is_changed = [], False
        for key in self._expiries.take_all(now):
            record = self._records[key]
            if now >= record.lapses_at:
                gone.append(record)
                continue
            is_changed |= record.candidates.expire(now)
            if not record.is_tellable(now):
                self._unmention(key)
            self._touch(key)
            self._expiries.set(key, record.next_expiry(now))
        for record in gone:
            self.remove(record.key)
        return tuple(gone), Change.CONTENT if gone or is_changed else Change.NOTHING

    def next_expiry(self, now: float) -> float | None:
        """When `expire` may have something to do next; too early where a peer was heard again in the meantime."""
        next_at = self._expiries.next_at()
        return None if next_at is None else max(next_at, now)

    def take_touched(self) -> frozenset[PublicKey]:
        """The peers of whom something has changed since the last call, also those that are gone."""
        touched = frozenset(self._touched)
        self._touched.clear()
        return touched

    def _touch(self, key: PublicKey) -> None:
        self._published.pop(key, None)
        self._touched.add(key)

    def _add(self, record: PeerRecord, evidence: Evidence, payer: Payer) -> PeerRecord:
        key = record.key
        self._touch(key)
        self._places.set(key, evidence, payer)
        self._records[key] = record
        insort(self._order, key)
        self._claims.set(key, record.facts.mesh_ipv4, record.facts.mesh_ipv6)
        self._expiries.set(key, record.first_seen_at + SILENT_S)
        return record

    def _peer(self, key: PublicKey, now: float) -> Peer:
        """A peer as value. It is made again only after a change: whole snapshots are taken often."""
        known = self._published.get(key)
        if known is not None and now < known[0]:
            return known[1]
        record = self._records[key]
        peer = record.to_peer(now)
        until = record.candidates.next_change(now)
        self._published[key] = (inf if until is None else until, peer)
        return peer

    def _set_facts(self, record: PeerRecord, facts: PeerFacts) -> None:
        self._touch(record.key)
        if record.facts != facts:
            record.facts = facts
            self._claims.set(record.key, facts.mesh_ipv4, facts.mesh_ipv6)

    def _set_control(self, record: PeerRecord, endpoint: Endpoint | None) -> None:
        if record.control_endpoint is not None:
            self._controls[record.control_endpoint] -= 1
            if not self._controls[record.control_endpoint]:
                del self._controls[record.control_endpoint]
        record.control_endpoint = endpoint
        if endpoint is not None:
            self._controls[endpoint] += 1

    def _unmention(self, key: PublicKey) -> None:
        self.vouched.drop(key)
        self.rotation.leave(key)

    def _verify(self, record: PeerRecord) -> None:
        if record.is_lost:
            return
        self.vouched.note(record.key, record.facts.revision)
        self.rotation.enter(record.key)

    def _hear_of(self, record: PeerRecord, endpoint: Endpoint, source: CandidateSource, now: float) -> None:
        record.candidates.hear(endpoint, source, now)
        self._touch(record.key)
        self._look_by(record, now + lifetime_s(source))

    def _prove(self, record: PeerRecord, endpoint: Endpoint, proven_at: float, now: float) -> Change:
        self._touch(record.key)
        if record.is_proven(now) and record.candidates.is_newest_proof(endpoint):
            record.proven_at = proven_at
            record.candidates.prove(endpoint, proven_at)
            return Change.AGE
        record.silence = None
        was = (record.is_proven(now), [each.endpoint for each in record.candidates.best_first(now)])
        record.proven_at = proven_at
        record.candidates.prove(endpoint, proven_at)
        record.evidence = Evidence.TUNNEL
        self._places.set(record.key, Evidence.TUNNEL, record.key)
        self._verify(record)
        self._look_by(record, proven_at + PROOF_FRESH_S)
        is_now = (record.is_proven(now), [each.endpoint for each in record.candidates.best_first(now)])
        return Change.AGE if was == is_now else Change.CONTENT

    def _look_by(self, record: PeerRecord, at: float) -> None:
        """Makes sure that the record is looked at no later than `at`. Whatever is later is found then."""
        due_at = self._expiries.get(record.key)
        if due_at is None or at < due_at:
            self._expiries.set(record.key, at)

    def _admit(self, rank: Evidence, payer: Payer, word: Evidence, is_known: bool = False) -> bool:
        """Makes room where there is none: the place is taken from who has less right to it."""
        has_room, giver = self._places.room(rank, word, payer, is_known)
        if giver is not None:
            self._displaced.append(self._records[giver])
            self.remove(giver)
        return has_room

    def _fill_gaps(self, record: PeerRecord, facts: PeerFacts) -> Change:
        if record.is_verified:
            return Change.NOTHING
        merged = replace(
            record.facts,
            mesh_ipv6=record.facts.mesh_ipv6 or facts.mesh_ipv6,
            hostname=record.facts.hostname or facts.hostname,
            nat_type=record.facts.nat_type or facts.nat_type,
            introducer=record.facts.introducer or facts.introducer,
        )
        if merged == record.facts:
            return Change.NOTHING
        self._set_facts(record, merged)
        return Change.CONTENT
