"""Members' records as the Mainline DHT holds them: sealed for their places, and opened only from there.

A record lies in two kinds of place. At an address stands who announces it, for one that knows nobody yet; every member
can write there, since the reader knows no more than every member does. In a pair's slot stands where a member is, for
one other that it has met; nobody else can write or read there, so no third member can keep the two apart by writing
what has the highest sequence number.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from nacl.bindings import crypto_sign_seed_keypair
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.keys.epoch_keys import EpochKeys, PairSlot
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.recent import Recent
from wgmesh.core.wire.member_record import NONCE_BYTES, MemberRecord, compact, open_record, seal_record
from wgmesh.discovery.dht import GetItem, PutItem

SOUGHT_MAX = 64
PUT_MAX = 64
# The seed names the item already. BEP 44 puts the salt beside it, readable to all who keep or carry the item.
NO_SALT = b""


@dataclass(frozen=True, slots=True)
class Sought:
    """What is expected of an item. `address` and `member` say what it was looked up for."""

    key: bytes = field(repr=False)
    place: bytes = field(repr=False)
    address: Endpoint | None = None
    member: PublicKey | None = None


class Records:
    """Makes the requests for records, and knows which are sought."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._sought: OrderedDict[bytes, Sought] = OrderedDict()
        self._put_for: Recent[bytes, PublicKey] = Recent(PUT_MAX)

    def put_at(self, epoch: EpochKeys, place: bytes, record: MemberRecord) -> PutItem:
        """Puts our record where those look who have found this address of ours."""
        value = seal_record(record, epoch.record_key, place, self._random_bytes(NONCE_BYTES))
        return PutItem(epoch.place_seed(place), NO_SALT, value)

    def put_for(self, slot: PairSlot, record: MemberRecord, member: PublicKey) -> PutItem:
        """Puts our record where one member looks that we have met."""
        self._put_for.note(item_key(slot.seed), member)
        value = seal_record(record, slot.key, record.public_key.raw, self._random_bytes(NONCE_BYTES))
        return PutItem(slot.seed, NO_SALT, value)

    def seek_at(self, epoch: EpochKeys, address: Endpoint) -> GetItem:
        """Looks up whose an address is."""
        place = compact(address)
        return self._seek(epoch.place_seed(place), Sought(epoch.record_key, place, address=address))

    def seek_of(self, slot: PairSlot, member: PublicKey) -> GetItem:
        """Looks up what a member has put for us alone."""
        return self._seek(slot.seed, Sought(slot.key, member.raw, member=member))

    def reader_of(self, public_key: bytes) -> PublicKey | None:
        """Which member an item was put for, None where it is for newcomers."""
        return self._put_for.get(public_key)

    def sought(self, public_key: bytes) -> Sought | None:
        """What the item under this key was looked up for, None where it was not."""
        return self._sought.get(public_key)

    def open(self, public_key: bytes, value: bytes, clock_s: float) -> MemberRecord | None:
        """Opens an item that was looked up; None where it is not what it should be. `clock_s` are Unix seconds."""
        if (sought := self._sought.get(public_key)) is None:
            return None
        try:
            record = open_record(value, sought.key, sought.place, clock_s)
        except MalformedMessage:
            return None  # of somebody who is no member, or a recording
        return record if sought.member in (None, record.public_key) else None

    def forget(self, public_key: bytes) -> Sought | None:
        """Ends a look-up."""
        return self._sought.pop(public_key, None)

    def _seek(self, seed: bytes, sought: Sought) -> GetItem:
        public_key = item_key(seed)
        self._sought[public_key] = sought
        if len(self._sought) > SOUGHT_MAX:
            self._sought.popitem(last=False)
        return GetItem(public_key, NO_SALT)


@functools.lru_cache(SOUGHT_MAX)
def item_key(seed: bytes) -> bytes:
    """Returns the Ed25519 public key of a seed, which names the item."""
    public_key, _ = crypto_sign_seed_keypair(seed)
    return bytes(public_key)
