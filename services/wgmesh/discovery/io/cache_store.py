"""The peer cache on disk: a hint for the next start, never worth an error."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from wgmesh.core.model import PublicKey
from wgmesh.core.peer_cache import MAX_FILE_BYTES, CachedPeer, decode_peer_cache, encode_peer_cache
from wgmesh.discovery.members.cache_merge import remember
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.remembered_file import RememberedFile

AGES_GAP_S = 300.0  # ages count in days here, so they are not worth a write of their own more often


class CacheStore:
    """Reads the file once and replaces it when there is something new."""

    def __init__(self, path: Path, log: BoundLogger) -> None:
        self._file = RememberedFile(path, "peer cache", MAX_FILE_BYTES, log)
        self._log = log
        self._remembered: tuple[CachedPeer, ...] = ()
        self._written_at = float("-inf")

    def load(self) -> tuple[CachedPeer, ...]:
        """Returns the good entries. A file that cannot be read is reported and counts as empty."""
        data = self._file.read()
        if data is None:
            return ()
        decoded = decode_peer_cache(data)
        if decoded.dropped:
            first = decoded.dropped[0]
            self._log.warning("peer cache read in part", dropped=len(decoded.dropped), first=first)
        self._remembered = decoded.peers
        return decoded.peers

    async def save(
        self,
        current: Iterable[CachedPeer],
        departed: Collection[PublicKey],
        clock_s: float,
        *,
        forgets: bool,
    ) -> None:
        """Writes what is new, and what has only become younger after a while. `clock_s` are Unix seconds."""
        remembered = remember(self._remembered, current, departed, clock_s, forgets=forgets)
        if remembered == self._remembered:
            return
        is_recent = 0 <= clock_s - self._written_at < AGES_GAP_S  # else it is long ago, or the clock was set back
        if is_recent and _without_ages(remembered) == _without_ages(self._remembered):
            return
        if await self._file.write(encode_peer_cache(remembered, int(clock_s))):
            self._remembered, self._written_at = remembered, clock_s


def _without_ages(peers: Iterable[CachedPeer]) -> set[CachedPeer]:
    return {replace(peer, last_seen=0) for peer in peers}
