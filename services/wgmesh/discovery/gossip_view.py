"""A view of the mesh to compare: which members this node vouches for, each at its own revision. Pure computations.

Buckets are chosen by the first byte of a key, so that any power of two of them can be compared.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping

from wgmesh.core.gossip_message import BUCKETS_MAX, ENTRIES_MAX, PREFIX_BYTES, TOKEN_BYTES, Bucket, Entry
from wgmesh.core.model import PublicKey

BUCKET_FILL = 8  # members a bucket: a difference of one then costs eight entries


@functools.lru_cache(4096)  # four times the peer table
def _token(key: PublicKey, revision: int) -> int:
    digest = hashlib.blake2s(key.raw + revision.to_bytes(8, "big"), digest_size=TOKEN_BYTES).digest()
    return int.from_bytes(digest, "big")


def bucket_count(members: int) -> int:
    """How many buckets a summary of so many members has: a power of two, about one for eight members."""
    wanted = max(1, members // BUCKET_FILL)
    return min(1 << (wanted - 1).bit_length(), BUCKETS_MAX)


def summary_of(view: Mapping[PublicKey, int], buckets: int) -> tuple[bytes, ...]:
    """Returns one token a bucket: the exclusive or of a hash of each member in it."""
    tokens = [0] * buckets
    for key, revision in view.items():
        tokens[key.raw[0] % buckets] ^= _token(key, revision)
    return tuple(token.to_bytes(TOKEN_BYTES, "big") for token in tokens)


def differing(view: Mapping[PublicKey, int], summary: tuple[bytes, ...]) -> list[Bucket]:
    """Returns our content of the buckets in which the other's summary differs, finer where our view is larger."""
    own = summary_of(view, len(summary))
    unequal = {index for index, token in enumerate(summary) if token != own[index]}
    if not unequal:
        return []
    of = max(len(summary), bucket_count(len(view)))
    chosen = [index for index in range(of) if index % len(summary) in unequal]
    content: dict[int, list[Entry]] = {index: [] for index in chosen}
    for key, revision in view.items():
        entries = content.get(key.raw[0] % of)
        if entries is not None and len(entries) < ENTRIES_MAX:
            entries.append(Entry(key.raw[:PREFIX_BYTES], revision))
    return [Bucket(index, of, tuple(entries)) for index, entries in content.items()]


def compare(view: Mapping[PublicKey, int], buckets: Iterable[Bucket]) -> tuple[list[PublicKey], list[bytes]]:
    """Compares our view with the other's buckets.

    Returns the members that the other lacks or knows at an older revision, and the prefixes of those that we do.
    """
    lacking: list[PublicKey] = []
    wanted: list[bytes] = []
    for bucket in buckets:
        theirs = {entry.prefix: entry.revision for entry in bucket.entries}
        ours = {key.raw[:PREFIX_BYTES]: key for key in view if key.raw[0] % bucket.of == bucket.index}
        lacking += [key for prefix, key in ours.items() if theirs.get(prefix, -1) < view[key]]
        wanted += [prefix for prefix, revision in theirs.items() if prefix not in ours or view[ours[prefix]] < revision]
    return lacking, wanted
