"""The whole service behind its socket. LAN discovery is off: a test speaks on loopback only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.discovery.discovery_wire import describe
from support.discovery.pairing import pairing_service
from support.waiting import until
from wgmesh.client.discovery import DiscoveryClient
from wgmesh.core.errors import InvalidInput, InvalidSetting, NotFound
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, LayerState
from wgmesh.discovery.__main__ import main
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.runtime.callers import socket_path
from wgmesh.runtime.service import Shell
from wgmesh.runtime.settings import RuntimeSettings


async def test_two_services_meet_over_a_static_address_and_remember_each_other(tmp_path: Path) -> None:
    secret = Secret.generate(os.urandom)
    async with service(tmp_path / "one", secret, number=1) as one:
        await one.set_self(describe(1, secret))
        port = await exchange_port(one)
        async with service(tmp_path / "two", secret, f"127.0.0.1:{port}", number=2) as two:
            await two.set_self(describe(2, secret))
            async with asyncio.timeout(10.0):
                async for snapshot in two.watch_peers():
                    if snapshot.peers and snapshot.peers[0].control_endpoint is not None:
                        break
            assert snapshot.description == describe(2, secret)
            assert snapshot.peers[0].public_key == describe(1, secret).public_key
            assert "static" in snapshot.peers[0].discovery_methods
            answer = await two.probe_address(Endpoint.of("127.0.0.1", port), 2.0)
            assert (answer.public_key, answer.hostname) == (describe(1, secret).public_key, "node-1")
        async with asyncio.timeout(10.0):
            async for snapshot in one.watch_peers():
                if not snapshot.peers:
                    break
    assert (tmp_path / "two" / "wg0-peers.json").exists()  # two never heard a goodbye


async def test_a_peer_that_was_met_is_remembered_within_a_second_or_so(tmp_path: Path) -> None:
    """A process that is killed has no time to save: its next life asks those whom this one has just met."""
    secret = Secret.generate(os.urandom)
    async with (
        service(tmp_path / "one", secret, number=1) as one,
        service(tmp_path / "two", secret, number=2) as two,
    ):
        await one.set_self(describe(1, secret))
        await two.set_self(describe(2, secret))
        await two.probe_address(Endpoint.of("127.0.0.1", await exchange_port(one)), 2.0)
        cache = tmp_path / "two" / "wg0-peers.json"
        key = describe(1, secret).public_key.text
        await until(lambda: cache.exists() and key in cache.read_text())


async def test_a_banned_peer_leaves_the_snapshot_at_once(tmp_path: Path) -> None:
    secret = Secret.generate(os.urandom)
    async with (
        service(tmp_path / "one", secret, number=1) as one,
        service(tmp_path / "two", secret, number=2) as two,
    ):
        await one.set_self(describe(1, secret))
        await two.set_self(describe(2, secret))
        await two.probe_address(Endpoint.of("127.0.0.1", await exchange_port(one)), 2.0)
        await two.ban_peer(describe(1, secret).public_key)
        assert (await anext(two.watch_peers())).peers == ()


async def test_every_layer_is_in_the_snapshot_with_its_state(tmp_path: Path) -> None:
    async with service(tmp_path, Secret.generate(os.urandom)) as client:
        await client.set_self(describe(1))
        snapshot = await anext(client.watch_peers())
        states = {layer.name: layer.state for layer in snapshot.layers}
        assert states == {
            "lan": LayerState.DISABLED,
            "exchange": LayerState.RUNNING,
            "gossip": LayerState.RUNNING,
            "static": LayerState.DISABLED,
            "cache": LayerState.RUNNING,
            "dht": LayerState.DISABLED,
        }


async def test_a_probe_without_answer_says_so(tmp_path: Path) -> None:
    secret = Secret.generate(os.urandom)
    async with service(tmp_path, secret) as client:
        await client.set_self(describe(1, secret))
        with pytest.raises(NotFound, match="No member of this mesh answered"):
            await client.probe_address(Endpoint.of("127.0.0.1", 9), 0.2)


async def test_a_bad_static_peer_ends_the_service_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="HOST:PORT"):
        async with service(tmp_path, Secret.generate(os.urandom), "nonsense"):
            pass
    assert issubclass(InvalidSetting, InvalidInput)


@asynccontextmanager
async def service(
    directory: Path, secret: Secret, *static_peers: str, number: int = 1
) -> AsyncIterator[DiscoveryClient]:
    """Runs discovery for the node of this number, beside a service that agrees on keys for it."""
    directory.mkdir(exist_ok=True)
    own_key = describe(number, secret).public_key
    async with (
        pairing_service(socket_path(directory, "wireguard", "discovery"), own_key),
        discovery(directory, secret, static_peers) as client,
    ):
        yield client


@asynccontextmanager
async def discovery(directory: Path, secret: Secret, static_peers: tuple[str, ...]) -> AsyncIterator[DiscoveryClient]:
    runtime = RuntimeSettings("discovery", "wg0", directory)
    settings = DiscoverySettings(secret, "wg0", directory, lan=False, static_peers=static_peers)
    ready = asyncio.Event()
    shell = Shell(runtime, ready.set)
    running = asyncio.ensure_future(main(shell, settings))
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait([running, waiting], timeout=10.0, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        await running
    try:
        async with DiscoveryClient(runtime.served_path("node")) as client:
            yield client
    finally:
        shell.stopping.set()
        await running


async def exchange_port(client: DiscoveryClient) -> int:
    async for snapshot in client.watch_peers():
        if snapshot.exchange_port:
            return snapshot.exchange_port
    raise AssertionError("the watch has ended")
