"""A process beats while its event loop runs, and never waits for its parent."""

from __future__ import annotations

import asyncio
import os

from support.doubles.virtual_time import in_virtual_time
from wgmesh.runtime import heartbeat
from wgmesh.runtime.notify import BEAT, ParentPipe


@in_virtual_time
async def test_a_loop_beats_at_once_and_then_at_each_whole_second() -> None:
    loop = asyncio.get_running_loop()
    beats: list[float] = []
    await asyncio.sleep(0.25)

    heartbeat.start(loop, lambda: beats.append(loop.time()))
    await asyncio.sleep(3.0)

    assert beats == [0.25, 1.0, 2.0, 3.0]


@in_virtual_time
async def test_a_loop_that_was_blocked_does_not_make_up_for_the_beats_that_it_missed() -> None:
    loop = asyncio.get_running_loop()
    beats: list[float] = []
    heartbeat.start(loop, lambda: beats.append(loop.time()))

    await asyncio.sleep(0.5)
    loop._pass(7.2)  # type: ignore[attr-defined]  # a call that takes so long
    await asyncio.sleep(1.0)

    assert beats == [0.0, 7.7, 8.0]


def test_a_full_pipe_never_holds_up_a_process() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    pipe = ParentPipe(writing)
    for _ in range(70_000):  # a pipe holds 65536
        pipe.beat()
    pipe.give_up("nobody reads this any more")

    assert set(os.read(reading, 100_000)) == set(BEAT)
    os.close(reading)
    os.close(writing)


def test_a_parent_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    ParentPipe(writing).beat()

    os.close(writing)
