"""What a word about a member is worth, and which word gives way to which.

Rule: an unproven word costs nobody anything. Who knows the secret can invent any number of names, can speak in the name
of everybody, and can name any address. So what is known of a member has a rank:

    rank        what it takes                                        counts as   who pays for the place
    HEARSAY     another member, a DHT or the cache names it          unproven    who has told of it
    CLAIM       a message in its name                                unproven    the host that it came from
    ANSWER      a REPLY from the very address that we had asked      direct      that host
    POSSESSION  a proof, made for us, that it holds its private key  direct      the host that it came from
    TUNNEL      WireGuard has reached it                             direct      nobody

One host can answer at one address in any number of names, and make keys and prove them. So of one host few names are
direct until their tunnels work, and few are claims.

A word about a known member replaces what is known of it as follows; a word that does not is worth a question to the
member itself, where it answers already.

    word        HEARSAY   CLAIM   ANSWER                     POSSESSION   TUNNEL, fresh
    HEARSAY     gaps      -       -                          -            -
    CLAIM       yes       yes     -                          -            -
    ANSWER      yes       yes     from the same address, or  -            from the host that WireGuard
                                  where that fell silent                  has proven last
    POSSESSION  yes       yes     yes                        yes          yes
    TUNNEL      yes       yes     yes                        yes          yes

In a full table the weaker gives way to the stronger. Among equals the place is taken from who pays for more than the
newcomer; a member that was reached by a tunnel gives way to nobody.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum

from wgmesh.core.model import PublicKey

Payer = Hashable

# A household or an office behind one address; the tunnel of each makes it direct whatever the others do.
DIRECT_PER_HOST_MAX = 8
CLAIMS_PER_HOST_MAX = 8
# An honest newcomer is a claim for the time of one question and its answer, so that even hundreds that start at once
# need few places. Who loses its place is asked all the same.
CLAIMS_MAX = 64
# A member whose tunnel works may tell a newcomer of a large mesh; half a table leaves room for what others tell.
TOLD_SHARE = 2
TOLD_PER_HOST_MAX = 64  # without a tunnel: two long lists of upstream's


class Evidence(IntEnum):
    """What is known of a member, the weakest first."""

    HEARSAY = 0
    CLAIM = 1
    ANSWER = 2
    POSSESSION = 3
    TUNNEL = 4

    @property
    def is_direct(self) -> bool:
        """Whether it is told on, remembered on disk and reported."""
        return self >= Evidence.ANSWER


class Places:
    """Who has a place in the table by which evidence, and who pays for it."""

    def __init__(self, places_max: int) -> None:
        self._places_max = places_max
        self._held: dict[Evidence, dict[Payer, dict[PublicKey, None]]] = {evidence: {} for evidence in Evidence}
        self._totals = dict.fromkeys(Evidence, 0)
        self._place_of: dict[PublicKey, tuple[Evidence, Payer]] = {}

    def __len__(self) -> int:
        return len(self._place_of)

    def set(self, key: PublicKey, evidence: Evidence, payer: Payer) -> None:
        """Gives a member a place, or another one."""
        if self._place_of.get(key) == (evidence, payer):
            return
        self.drop(key)
        self._held[evidence].setdefault(payer, {})[key] = None
        self._totals[evidence] += 1
        self._place_of[key] = (evidence, payer)

    def drop(self, key: PublicKey) -> None:
        place = self._place_of.pop(key, None)
        if place is None:
            return
        evidence, payer = place
        held = self._held[evidence][payer]
        del held[key]
        self._totals[evidence] -= 1
        if not held:
            del self._held[evidence][payer]

    def rank(self, key: PublicKey, word: Evidence, payer: Payer) -> Evidence:
        """As what a word about a newcomer counts: beyond the share of its host even a proof is only a claim."""
        if word not in (Evidence.ANSWER, Evidence.POSSESSION):
            return word
        others = self._count(key, Evidence.ANSWER, payer) + self._count(key, Evidence.POSSESSION, payer)
        return Evidence.CLAIM if others >= DIRECT_PER_HOST_MAX else word

    def told_by(self, payer: Payer) -> int:
        """How many are known only because `payer` has told of them."""
        return len(self._held[Evidence.HEARSAY].get(payer, ()))

    def room(self, rank: Evidence, word: Evidence, payer: Payer, is_known: bool) -> tuple[bool, PublicKey | None]:
        """Whether there is a place of this rank, and who gives way for it.

        `is_known` says that the member has a place already, of a lower rank.
        """
        if rank is Evidence.CLAIM:
            own = self._held[rank].get(payer, {})
            if len(own) >= CLAIMS_PER_HOST_MAX:
                return word > rank, next(iter(own)) if word > rank else None
            if self._totals[rank] >= CLAIMS_MAX:
                return _found(self._of_heaviest(rank, payer))
        if is_known or len(self) < self._places_max:
            return True, None
        weaker = next((each for each in Evidence if each < rank and self._totals[each]), None)
        return _found(self._of_heaviest(rank, payer) if weaker is None else self._of_heaviest(weaker, None))

    def _of_heaviest(self, evidence: Evidence, newcomer: Payer | None) -> PublicKey | None:
        """The oldest of who pays for most; of a newcomer's equals only where that is more than it pays for itself."""
        if evidence is Evidence.TUNNEL or not self._totals[evidence]:
            return None
        held = self._held[evidence]
        heaviest = max(held.values(), key=len)
        if newcomer is not None and len(heaviest) <= len(held.get(newcomer, ())):
            return None
        return next(iter(heaviest))

    def _count(self, key: PublicKey, evidence: Evidence, payer: Payer) -> int:
        """How many others `payer` has there."""
        held = self._held[evidence].get(payer, {})
        return len(held) - (key in held)


def _found(giver: PublicKey | None) -> tuple[bool, PublicKey | None]:
    return giver is not None, giver
