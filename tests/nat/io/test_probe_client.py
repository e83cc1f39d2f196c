from __future__ import annotations

import asyncio
import socket

import pytest
from support.probe_endpoints import KEY, MOVED, OWN, SERVER, SERVER_IPV6, free_port, probing, serving
from support.waiting import PATIENCE_S, until
from wgmesh.core.model import PublicKey
from wgmesh.nat.io.probe_client import ping
from wgmesh.nat.tunnel_probe import ProbeSchedule, ProbeTarget


async def test_the_client_measures_a_new_peer_at_once() -> None:
    async with serving({SERVER}) as (_, port):
        answered = asyncio.get_running_loop().create_future()
        async with probing(port, on_answered=lambda key, rtt_s: answered.set_result((key, rtt_s))) as client:
            client.set_targets([ProbeTarget(KEY, ((OWN, SERVER),))])
            key, rtt_s = await asyncio.wait_for(answered, PATIENCE_S)

    assert key == KEY
    assert rtt_s > 0


async def test_the_client_goes_on_to_ipv4_when_ipv6_does_not_answer() -> None:
    async with serving({SERVER}) as (_, port):
        answered = asyncio.get_running_loop().create_future()
        async with probing(port, on_answered=lambda key, rtt_s: answered.set_result(key)) as client:
            client.set_targets([ProbeTarget(KEY, ((SERVER_IPV6, SERVER_IPV6), (OWN, SERVER)))])

            assert await asyncio.wait_for(answered, PATIENCE_S) == KEY


async def test_a_refused_probe_counts_as_unanswered() -> None:
    unanswered = asyncio.get_running_loop().create_future()
    async with probing(free_port(), on_unanswered=unanswered.set_result) as client:
        client.set_targets([ProbeTarget(KEY, ((OWN, SERVER),))])

        assert await asyncio.wait_for(unanswered, PATIENCE_S) == KEY


async def test_a_peer_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.create_server((str(SERVER), 0)) as mute, pytest.raises(TimeoutError):
        await ping(OWN, SERVER, mute.getsockname()[1], "lo", step_timeout_s=0.05)


async def test_without_the_interface_a_peer_is_not_blamed() -> None:
    asked: list[ProbeTarget] = []
    blamed: list[PublicKey] = []
    async with probing(
        free_port(),
        "wgmesh-none0",
        on_asked=asked.append,
        on_unanswered=blamed.append,
        schedule=ProbeSchedule(lambda: 0.5, not_asked_gap_s=0.01),
    ) as client:
        client.set_targets([ProbeTarget(KEY, ((OWN, SERVER),))])
        await until(lambda: len(asked) == 3)  # so two have ended

    assert blamed == []


async def test_news_of_a_peer_ends_a_probe_that_waits_in_vain_and_starts_another() -> None:
    answered: asyncio.Future[PublicKey] = asyncio.get_running_loop().create_future()
    asked: list[ProbeTarget] = []
    with socket.create_server((str(SERVER), 0)) as mute:
        port = mute.getsockname()[1]
        async with (
            serving({MOVED}, port),
            probing(
                port,
                on_asked=asked.append,
                on_answered=lambda key, rtt_s: answered.set_result(key),
                step_timeout_s=10 * PATIENCE_S,  # so that only the news can end it
            ) as client,
        ):
            client.set_targets([ProbeTarget(KEY, ((OWN, SERVER),))])
            await until(lambda: bool(asked))
            client.set_targets([ProbeTarget(KEY, ((OWN, MOVED),))])
            client.set_targets([ProbeTarget(KEY, ((OWN, MOVED),), is_proven=True)])
            await asyncio.wait_for(answered, PATIENCE_S)

    assert len(asked) == 2
