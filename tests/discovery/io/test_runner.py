"""Two runners on real sockets in one process: loopback is their LAN, and only one can have the mesh's port."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from support.discovery.discovery_wire import describe
from wgmesh.core.errors import NotFound, NotReady
from wgmesh.core.keys.possession import Agreement
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, LayerState, PeersSnapshot, PublicKey
from wgmesh.discovery.host_interfaces import LOOPBACK, LOWER_UP, UP, Link
from wgmesh.discovery.io.instruments import Instruments
from wgmesh.discovery.io.runner import DiscoveryRunner
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.runtime import telemetry

LO = Link("lo", socket.if_nametoindex("lo"), UP | LOWER_UP | LOOPBACK, "", (ipaddress.ip_interface("127.0.0.1/8"),))


async def test_two_stations_on_one_host_find_each_other_by_multicast(secret: Secret) -> None:
    with closing(station(secret)) as one, closing(station(secret)) as two:
        one.set_self(describe(1, secret), ())
        two.set_self(describe(2, secret), ())
        for each in (one, two):
            each.set_links((LO,))
        found = await snapshot_where(one, lambda snapshot: bool(snapshot.peers) and control(snapshot) is not None)
        assert found.peers[0].public_key == describe(2, secret).public_key
        assert (await snapshot_where(two, lambda snapshot: bool(snapshot.peers))).peers[0].hostname == "node-1"
        layers = {layer.name: layer for layer in two.snapshots.value.layers}
        assert layers["exchange"].state is LayerState.DEGRADED and "is taken" in layers["exchange"].detail
        assert layers["lan"].state is LayerState.RUNNING
        assert str(found.peers[0].candidates[0].endpoint) == "127.0.0.1:51820"


async def test_a_static_address_is_enough_and_a_goodbye_ends_it(secret: Secret) -> None:
    with closing(station(secret, lan=False)) as one:
        one.set_self(describe(1, secret), ())
        with closing(station(secret, lan=False)) as two:
            two.set_links((LO,))
            two.set_self(describe(2, secret), ())
            two.set_static([Endpoint.of("127.0.0.1", one.exchange_port)], {})
            await snapshot_where(one, lambda snapshot: bool(snapshot.peers) and control(snapshot) is not None)
        await snapshot_where(one, lambda snapshot: not snapshot.peers)


async def test_a_probe_tells_who_is_there_and_that_nobody_is(secret: Secret) -> None:
    with closing(station(secret, lan=False)) as one, closing(station(secret, lan=False)) as two:
        address = Endpoint.of("127.0.0.1", one.exchange_port)
        with pytest.raises(NotReady):
            await two.probe(address, 0.2)
        one.set_self(describe(1, secret), ())
        two.set_self(describe(2, secret), ())
        answer = await two.probe(address, 5.0)
        assert answer.public_key == describe(1, secret).public_key and answer.rtt_s < 5.0
        with pytest.raises(NotFound, match=r"127\.0\.0\.1:1"):
            await two.probe(Endpoint.of("127.0.0.1", 1), 0.2)


async def test_without_a_lan_the_layer_says_why(secret: Secret) -> None:
    with closing(station(secret)) as one:
        one.set_links(())
        assert lan_detail(one) == "no interface with IPv4 or IPv6 and multicast is up"
        one.set_links_unknown("netlink refused")
        assert lan_detail(one) == "netlink refused"
        one.set_links((LO,))
        assert lan_detail(one) == "on lo"
        one.set_links((Link("gone", 9999, LO.flags, "", LO.addresses),))
        assert "gone" in lan_detail(one)


@pytest.fixture
def secret() -> Secret:
    """A mesh of this test alone: other programs on this host may have meshes too."""
    return Secret.generate(os.urandom)


def station(secret: Secret, lan: bool = True) -> DiscoveryRunner:
    settings = DiscoverySettings(secret, "wg0", Path("/nonexistent"), lan=lan)
    instruments = Instruments(telemetry.meter("test"), telemetry.tracer("test"))

    def want(keys: Sequence[PublicKey]) -> None:
        # nobody here has a private key: the agreement fails, as with a key that is no point
        asyncio.get_running_loop().call_soon(made.set_pair_keys, [Agreement(key, None) for key in keys])

    made = DiscoveryRunner(settings, structlog.stdlib.get_logger(), instruments, want)
    return made


async def snapshot_where(one: DiscoveryRunner, holds: Callable[[PeersSnapshot], bool]) -> PeersSnapshot:
    async with asyncio.timeout(10.0):
        async for snapshot in one.snapshots.watch():
            if holds(snapshot):
                return snapshot
    raise AssertionError("the watch has ended")


def control(snapshot: PeersSnapshot) -> Endpoint | None:
    return snapshot.peers[0].control_endpoint


def lan_detail(one: DiscoveryRunner) -> str:
    return next(layer.detail for layer in one.snapshots.value.layers if layer.name == "lan")
