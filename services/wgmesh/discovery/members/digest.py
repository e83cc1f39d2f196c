"""A view of the mesh to compare: which members this node vouches for, each at its own revision. Pure computations.

Buckets are chosen by the first byte of a key, so that any power of two of them can be compared.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NoReturn

from wgmesh.core.model import PublicKey
from wgmesh.core.wire.gossip_message import BUCKETS_MAX, ENTRIES_MAX, PREFIX_BYTES, TOKEN_BYTES, Bucket, Entry

BUCKET_FILL = 8  # members a bucket: a difference of one then costs eight entries


@functools.lru_cache(4096)  # four times the peer table
def _token(key: PublicKey, revision: int) -> int:
    digest = hashlib.blake2s(key.raw + revision.to_bytes(8, "big"), digest_size=TOKEN_BYTES).digest()
    return int.from_bytes(digest, "big")


def bucket_count(members: int) -> int:
    """How many buckets a summary of so many members has: a power of two, about one for eight members."""
    wanted = max(1, members // BUCKET_FILL)
    return min(1 << (wanted - 1).bit_length(), BUCKETS_MAX)


class View(dict[PublicKey, int]):
    """A view that is kept up to date. What every message asks of it costs no look at every member."""

    def __init__(self, entries: Mapping[PublicKey, int] | None = None) -> None:
        super().__init__()
        self.tokens = [0] * BUCKETS_MAX
        """One of each of the finest buckets: coarser ones are the exclusive or of some of these."""
        self.sections: list[dict[PublicKey, int]] = [{} for _ in range(BUCKETS_MAX)]
        """The members of each of the finest buckets."""
        for key, revision in (entries or {}).items():
            self.note(key, revision)

    def note(self, key: PublicKey, revision: int) -> None:
        """Adds a member, or gives it another revision."""
        known = self.get(key)
        if known == revision:
            return
        place = key.raw[0] % BUCKETS_MAX
        self.tokens[place] ^= _token(key, revision) ^ (0 if known is None else _token(key, known))
        self.sections[place][key] = revision
        super().__setitem__(key, revision)

    def drop(self, key: PublicKey) -> None:
        """Removes a member, if it is one."""
        known = super().pop(key, None)
        if known is not None:
            place = key.raw[0] % BUCKETS_MAX
            self.tokens[place] ^= _token(key, known)
            del self.sections[place][key]

    def __setitem__(self, key: PublicKey, revision: int) -> NoReturn:
        raise TypeError("a view is changed by note and drop")

    def bucket(self, index: int, of: int) -> dict[PublicKey, int]:
        """The members of one of `of` buckets."""
        if of == BUCKETS_MAX:
            return self.sections[index]
        members: dict[PublicKey, int] = {}
        for place in range(index, BUCKETS_MAX, of):
            members |= self.sections[place]
        return members


def summary_of(view: Mapping[PublicKey, int], buckets: int) -> tuple[bytes, ...]:
    """Returns one token a bucket: the exclusive or of a hash of each member in it."""
    tokens = [0] * buckets
    for place, token in enumerate(_kept(view).tokens):
        tokens[place % buckets] ^= token
    return tuple(token.to_bytes(TOKEN_BYTES, "big") for token in tokens)


def differing(view: Mapping[PublicKey, int], summary: tuple[bytes, ...]) -> list[Bucket]:
    """Returns our content of the buckets in which the other's summary differs, finer where our view is larger."""
    kept = _kept(view)
    own = summary_of(kept, len(summary))
    unequal = {index for index, token in enumerate(summary) if token != own[index]}
    if not unequal:
        return []
    of = max(len(summary), bucket_count(len(view)))
    return [_content(kept, index, of) for index in range(of) if index % len(summary) in unequal]


def compare(view: Mapping[PublicKey, int], buckets: Iterable[Bucket]) -> tuple[list[PublicKey], list[bytes]]:
    """Compares our view with the other's buckets.

    Returns the members that the other lacks or knows at an older revision, and the prefixes of those that we do.
    """
    kept = _kept(view)
    lacking: list[PublicKey] = []
    wanted: list[bytes] = []
    for bucket in buckets:
        theirs = {entry.prefix: entry.revision for entry in bucket.entries}
        ours = {key.raw[:PREFIX_BYTES]: key for key in kept.bucket(bucket.index, bucket.of)}
        lacking += [key for prefix, key in ours.items() if theirs.get(prefix, -1) < view[key]]
        wanted += [prefix for prefix, revision in theirs.items() if prefix not in ours or view[ours[prefix]] < revision]
    return lacking, wanted


def _kept(view: Mapping[PublicKey, int]) -> View:
    return view if isinstance(view, View) else View(view)


def _content(view: View, index: int, of: int) -> Bucket:
    members = islice(view.bucket(index, of).items(), ENTRIES_MAX)
    return Bucket(index, of, tuple(Entry(key.raw[:PREFIX_BYTES], revision) for key, revision in members))
