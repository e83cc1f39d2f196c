"""A process waits for the calls that its servers leave behind, and that its end would cut off with a traceback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from wgmesh.runtime.rpc_server import CALL_TASKS, calls_ended, serve_unix


async def test_the_calls_of_a_server_are_known_by_their_tasks(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serve_unix(path, lambda server: None, ()), grpc.aio.insecure_channel(f"unix:{path}") as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        async for _ in watch:
            break
        names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}

        assert names >= set(CALL_TASKS)
        watch.cancel()


async def test_a_call_that_ends_in_a_moment_is_waited_for_and_nothing_else_is() -> None:
    turns: list[int] = []

    async def _schedule_rpc_coro() -> None:
        for turn in range(20):
            turns.append(turn)
            await asyncio.sleep(0)

    _schedule_rpc_coro.__qualname__ = "_schedule_rpc_coro"
    call = asyncio.ensure_future(_schedule_rpc_coro())
    other = asyncio.ensure_future(asyncio.Event().wait())

    await calls_ended()

    assert call.done()
    assert len(turns) == 20
    assert not other.done()
    other.cancel()
