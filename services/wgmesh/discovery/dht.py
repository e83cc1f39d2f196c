"""What is asked of a DHT, the public one or one's own, and what it reports: one vocabulary for both."""

from __future__ import annotations

from dataclasses import dataclass, field

from wgmesh.core.model import Endpoint, IPAddress

# Asked of the Mainline DHT (BEP 5, BEP 44)


@dataclass(frozen=True, slots=True)
class Announce:
    """Announce us under an infohash. Replies name peers as a look-up does."""

    infohash: bytes
    port: int


@dataclass(frozen=True, slots=True)
class LookUp:
    """Look for the peers of an infohash."""

    infohash: bytes


@dataclass(frozen=True, slots=True)
class PutItem:
    """Store a mutable item under the Ed25519 key of `seed`."""

    seed: bytes = field(repr=False)
    salt: bytes
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GetItem:
    """Look for a mutable item."""

    public_key: bytes
    salt: bytes


# Asked of a private DHT


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """Store a value under a name."""

    name: bytes
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """Read what lies under a name."""

    name: bytes


DhtRequest = Announce | LookUp | PutItem | GetItem | StoreRecord | ReadRecord


# Reported by either


@dataclass(frozen=True, slots=True)
class NodesCounted:
    """How many nodes are known. `port` is where ours listens, 0 where nobody needs to know."""

    count: int
    port: int = 0


# Reported by the Mainline DHT


@dataclass(frozen=True, slots=True)
class PeersFound:
    """One reply named peers of an infohash. Many such events follow one look-up or announce; own addresses come too."""

    infohash: bytes
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class ItemFound:
    """A mutable item whose signature is good. It may come several times, and older versions before the newest."""

    public_key: bytes
    salt: bytes
    value: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class ItemMissing:
    """A look-up ended without any item."""

    public_key: bytes
    salt: bytes


@dataclass(frozen=True, slots=True)
class ItemStored:
    """A put ended; `acknowledged` nodes said that they keep it. 0 means that nobody does."""

    public_key: bytes
    salt: bytes
    sequence: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class OutsideAddressSeen:
    """DHT nodes agree that they see us at this address."""

    address: IPAddress


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """The first look-up for neighbours ended, with or without a result: ask for the count."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something keeps the session from working. `reason` is a sentence."""

    reason: str


# Reported by a private DHT


@dataclass(frozen=True, slots=True)
class RecordsRead:
    """What lies under a name; nothing says that any of it is true."""

    name: bytes
    values: tuple[bytes, ...] = field(repr=False)


MainlineEvent = (
    PeersFound | ItemFound | ItemMissing | ItemStored | OutsideAddressSeen | NodesCounted | Bootstrapped | Trouble
)
DhtEvent = MainlineEvent | RecordsRead
