"""Bans by way of the service's socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import grpc.aio
import pytest
import structlog
from wgmesh.client.discovery import DiscoveryClient
from wgmesh.core.errors import CorruptState, InvalidInput, NotFound
from wgmesh.core.model import PublicKey
from wgmesh.discovery.io.bans import Bans
from wgmesh.discovery.io.denylist_store import DenyListStore
from wgmesh.discovery.io.runner import DiscoveryRunner
from wgmesh.discovery.servicer import SERVICE_NAME, DiscoveryServicer
from wgmesh.runtime.rpc_server import serve_unix
from wgmesh.v1.discovery_service_pb2_grpc import add_DiscoveryServiceServicer_to_server

ONE, OWN = (PublicKey(bytes([number]) * 32) for number in (1, 9))


class Door:
    """Remembers who is kept out."""

    own_key: PublicKey | None = OWN
    banned: frozenset[PublicKey] = frozenset()

    def set_banned(self, keys: AbstractSet[PublicKey]) -> None:
        self.banned = frozenset(keys)


@asynccontextmanager
async def service(directory: Path, door: Door) -> AsyncIterator[DiscoveryClient]:
    log = structlog.get_logger()
    banning = Bans(door, DenyListStore(directory / "wg0-banned.json", log), log)
    servicer = DiscoveryServicer(cast(DiscoveryRunner, None), banning)  # no call here asks the runner itself

    def register(server: grpc.aio.Server) -> None:
        add_DiscoveryServiceServicer_to_server(servicer, server)

    path = directory / "discovery.sock"
    async with serve_unix(path, register, [SERVICE_NAME]), DiscoveryClient(path) as client:
        yield client


async def test_a_ban_is_listed_with_its_reason_also_by_the_next_process(tmp_path: Path) -> None:
    door = Door()
    async with service(tmp_path, door) as client:
        await client.ban_peer(ONE, "sold")
        assert door.banned == {ONE}

    async with service(tmp_path, Door()) as client:
        bans, unread = await client.list_bans()
        assert ([(ban.public_key, ban.reason) for ban in bans], unread) == ([(ONE, "sold")], 0)
        assert bans[0].banned_at > 1_700_000_000
        await client.unban_peer(ONE)
        assert await client.list_bans() == ((), 0)


async def test_what_cannot_be_done_is_said_with_its_class(tmp_path: Path) -> None:
    async with service(tmp_path, Door()) as client:
        with pytest.raises(InvalidInput, match="this node itself"):
            await client.ban_peer(OWN)
        with pytest.raises(InvalidInput, match="one line"):
            await client.ban_peer(ONE, "two\nlines")
        with pytest.raises(NotFound, match="is not banned"):
            await client.unban_peer(ONE)


async def test_a_damaged_list_keeps_the_service_from_serving(tmp_path: Path) -> None:
    (tmp_path / "wg0-banned.json").write_text("")

    with pytest.raises(CorruptState):
        async with service(tmp_path, Door()):
            pass
