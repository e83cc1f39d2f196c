"""How much each memory of discovery may hold. A test may choose less, to see what happens at the bound."""

from __future__ import annotations

from dataclasses import dataclass

PEERS_MAX = 1000  # upstream's cap (protocol notes, section 15.3)
CONTACTS_MAX = 2048  # twice the peer table
TOMBSTONES_MAX = 2048  # twice the peer table
SENDERS_MAX = 4096  # four times the peer table, so that departed peers are remembered too
NONCES_MAX = 8192  # 300 members with a message every 45 s each way fill this in 10 minutes; about 2 MB
KEYS_MAX = 4096  # four times the peer table; to agree once more costs 0.1 ms
WAITING_MAX = 256
IN_FLIGHT_MAX = 512
HOSTS_MAX = 4096  # four times the peer table, of addresses that have not answered, and of those that have


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest number of entries of each memory."""

    peers: int = PEERS_MAX
    contacts: int = CONTACTS_MAX
    tombstones: int = TOMBSTONES_MAX
    senders: int = SENDERS_MAX
    nonces: int = NONCES_MAX
    pair_keys: int = KEYS_MAX
    waiting_messages: int = WAITING_MAX
    hellos_in_flight: int = IN_FLIGHT_MAX
    hosts: int = HOSTS_MAX
