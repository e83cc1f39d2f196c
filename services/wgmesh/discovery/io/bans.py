"""Bans as they are asked for: in force at once, on disk before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from typing import Protocol

from wgmesh.core.errors import InvalidInput, NotFound, PermissionDenied
from wgmesh.core.model import Ban, PublicKey
from wgmesh.discovery.io.denylist_store import DenyListStore
from wgmesh.discovery.members.denylist import DenyList
from wgmesh.runtime.logs import BoundLogger


class Doorkeeper(Protocol):
    """What keeps the banned out: the runner of the core."""

    @property
    def own_key(self) -> PublicKey | None: ...

    def set_banned(self, keys: AbstractSet[PublicKey]) -> None:
        """Makes these keys all that are banned, from now on."""


class Bans:
    """Owns the deny-list. Made before anything is heard, so that nobody slips in at a start."""

    def __init__(self, doorkeeper: Doorkeeper, store: DenyListStore, log: BoundLogger) -> None:
        """Reads the file. Raises CorruptState or PermissionDenied."""
        self._doorkeeper = doorkeeper
        self._store = store
        self._log = log
        self._turn = asyncio.Lock()
        self.denylist = store.load()
        self._enforce(self.denylist)

    async def ban(self, ban: Ban) -> None:
        """Bans a key, or gives a new reason for its ban.

        Raises InvalidInput for the own key or a bad reason, MeshError when full, and PermissionDenied where the ban
        cannot be stored. It holds all the same, until this process ends.
        """
        async with self._turn:
            if ban.public_key == self._doorkeeper.own_key:
                raise InvalidInput("that is the key of this node itself; a node cannot ban itself")
            self._enforce(self.denylist.with_ban(ban))
            self._log.info("peer banned", peer=ban.public_key.short)
            try:
                await self._store.save(self.denylist)
            except PermissionDenied as error:
                raise PermissionDenied(f"The ban holds only until this node stops. {error}") from None

    async def unban(self, key: PublicKey) -> None:
        """Takes a ban back. Raises NotFound, and PermissionDenied where that cannot be stored; the ban then stays."""
        async with self._turn:
            if key not in self.denylist.bans:
                raise NotFound(f"{key.text} is not banned; `wgmesh peers bans` lists who is")
            denylist = self.denylist.without(key)
            await self._store.save(denylist)
            self._enforce(denylist)
            self._log.info("peer unbanned", peer=key.short)

    def _enforce(self, denylist: DenyList) -> None:
        self.denylist = denylist
        self._doorkeeper.set_banned(frozenset(denylist.bans))
