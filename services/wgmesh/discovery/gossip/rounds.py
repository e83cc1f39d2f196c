"""Gossip between our own nodes: when to compare views, with whom, and what to answer.

Rounds go to ceil(log2 N)+1 peers with a fresh tunnel (weaknesses 6). While there is news they come every second or so
and carry it; a mesh at rest compares summaries every five minutes. Nothing here decides what is believed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from wgmesh.core.model import PublicKey
from wgmesh.core.wire.gossip_message import RECORDS_MAX, WANTED_MAX, Bucket, Gossip
from wgmesh.discovery.members.digest import bucket_count, compare, differing, summary_of

HOT_S = 1.0  # between rounds that carry news
HOT_PER_MEMBER_S = 0.01  # and this for each member, since in a large mesh everybody hears many rounds
FIRST_CALM_S = 10.0  # upstream's interval, for the first round after the news
# A mesh of 50 at rest may cost 3 MB of control traffic a day: 7 summaries of about 450 bytes every five minutes are
# 1 MB. What such a round repairs has survived all news, so it is not in a hurry.
LAST_CALM_S = 300.0
JITTER = 0.2
NEWS_MAX = 256
NEWS_A_ROUND = 3  # records that fit beside a summary
EAGER_PEERS = 3  # a newcomer compares at once with the first peers that it reaches
DATAGRAMS_MAX = 8  # a single answer


@dataclass(frozen=True, slots=True)
class Round:
    """One summary to send: to whom, and the news that goes with it."""

    peers: tuple[PublicKey, ...]
    summary: tuple[bytes, ...]
    news: tuple[PublicKey, ...]


@dataclass(frozen=True, slots=True)
class Reaction:
    """What to answer: our own buckets, the records of these members, and whom we want to hear of."""

    buckets: tuple[Bucket, ...] = ()
    records: tuple[PublicKey, ...] = ()
    wanted: tuple[bytes, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.buckets or self.records or self.wanted)


class GossipRounds:
    """The schedule of rounds."""

    def __init__(self, random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in 0..1."""
        self._random_unit = random_unit
        self._news: dict[PublicKey, int] = {}
        self._calm_s = FIRST_CALM_S
        self._next_at: float | None = None
        self._eager_left = EAGER_PEERS

    def note_news(self, key: PublicKey, members: int, now: float) -> None:
        """Notes that a member is new, or describes itself in new words: it is worth telling in the next rounds."""
        if key not in self._news and len(self._news) >= NEWS_MAX:
            del self._news[next(iter(self._news))]
        self._news[key] = fan_out(members)
        self._hurry(members, now)

    def greet(self, now: float) -> bool:
        """Whether to compare at once with a peer that was just reached for the first time."""
        self._begin(now)
        if not self._eager_left:
            return False
        self._eager_left -= 1
        return True

    def learned(self, members: int, now: float) -> None:
        """A comparison has brought something new: others may lack it too, and there may be more."""
        self._calm_s = FIRST_CALM_S
        self._hurry(members, now)

    def agreed(self) -> None:
        """Somebody else's view is the same as ours, so he knows all our news: each is worth one telling less.

        Rumours that meet only those who know them die out (Demers et al., Epidemic algorithms for replicated database
        maintenance, 1987: feedback and counter). Else all members would tell all others of everybody for minutes.
        """
        self._news = {key: left - 1 for key, left in self._news.items() if left > 1}

    def due(self, now: float, reachable: Sequence[PublicKey], view: Mapping[PublicKey, int]) -> Round | None:
        """Returns the round that is due. `reachable` are our own kind of peers with a fresh tunnel."""
        if self._next_at is None or now < self._next_at:
            return None
        news = self._take_news(view)
        if news:
            pause_s = hot_s(len(view))
        else:
            pause_s, self._calm_s = self._calm_s, min(self._calm_s * 2, LAST_CALM_S)
        self._next_at = now + pause_s * (1 + JITTER * (2 * self._random_unit() - 1))
        chosen = self._sample(reachable, fan_out(len(view)))
        if not chosen:
            return None
        return Round(chosen, summary_of(view, bucket_count(len(view))), news)

    def poll_timeout(self) -> float | None:
        return self._next_at

    def _begin(self, now: float) -> None:
        if self._next_at is None:
            self._next_at = now + self._calm_s * self._random_unit()

    def _hurry(self, members: int, now: float) -> None:
        soon = now + hot_s(members) * self._random_unit()
        self._next_at = soon if self._next_at is None else min(self._next_at, soon)

    def _take_news(self, view: Mapping[PublicKey, int]) -> tuple[PublicKey, ...]:
        """The news that was told least often; each is told in as many rounds as reach everybody."""
        for key in [key for key in self._news if key not in view]:
            del self._news[key]
        chosen = sorted(self._news, key=lambda key: -self._news[key])[:NEWS_A_ROUND]
        for key in chosen:
            self._news[key] -= 1
            if not self._news[key]:
                del self._news[key]
        return tuple(chosen)

    def _sample(self, keys: Sequence[PublicKey], count: int) -> tuple[PublicKey, ...]:
        """Chooses `count` different ones (Floyd's algorithm: Bentley, Programming Pearls, CACM 30(9), 1987)."""
        size = len(keys)
        chosen: dict[int, None] = {}
        for upper in range(max(size - count, 0), size):
            index = min(int(self._random_unit() * (upper + 1)), upper)
            chosen[upper if index in chosen else index] = None
        return tuple(keys[index] for index in chosen)


def fan_out(members: int) -> int:
    """How many peers one round goes to (weaknesses 6)."""
    return math.ceil(math.log2(max(members, 1))) + 1


def hot_s(members: int) -> float:
    """The pause between rounds that carry news."""
    return HOT_S + HOT_PER_MEMBER_S * members


def react(gossip: Gossip, view: Mapping[PublicKey, int], prefixes: Mapping[bytes, PublicKey]) -> Reaction:
    """Decides what to answer to a message. `prefixes` are those of the keys in our view."""
    buckets = differing(view, gossip.summary) if gossip.summary else []
    lacking, wanted = compare(view, gossip.buckets)
    asked = [prefixes[prefix] for prefix in gossip.wanted if prefix in prefixes]
    records = _without(gossip.public_key, (*asked, *lacking))[: RECORDS_MAX * DATAGRAMS_MAX]
    return Reaction(tuple(buckets), tuple(records), tuple(wanted[:WANTED_MAX]))


def _without(key: PublicKey, keys: Iterable[PublicKey]) -> list[PublicKey]:
    return [each for each in dict.fromkeys(keys) if each != key]
