from __future__ import annotations

import asyncio

from support.waiting import turn_of_the_loop
from wgmesh.runtime.snapshots import SnapshotCell


async def test_a_watcher_gets_the_current_value_first() -> None:
    cell = SnapshotCell("first")

    watch = cell.watch()

    assert await anext(watch) == "first"


async def test_a_slow_watcher_gets_only_the_newest_value() -> None:
    cell = SnapshotCell(0)
    watch = cell.watch()
    await anext(watch)

    for value in range(1, 100):
        cell.publish(value)

    assert await anext(watch) == 99


async def test_every_watcher_is_woken() -> None:
    cell = SnapshotCell("old")
    watches = [cell.watch() for _ in range(3)]
    for watch in watches:
        await anext(watch)

    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(_next(watch)) for watch in watches]
        await turn_of_the_loop()
        cell.publish("new")

    assert [task.result() for task in waiting] == ["new"] * 3


async def test_an_equal_value_wakes_nobody() -> None:
    cell = SnapshotCell((1, 2))
    watch = cell.watch()
    await anext(watch)
    waiting = asyncio.ensure_future(_next(watch))
    await turn_of_the_loop()

    cell.publish((1, 2))
    await turn_of_the_loop()
    assert not waiting.done()

    cell.publish((3, 4))
    assert await waiting == (3, 4)


async def _next(watch: object) -> object:
    return await anext(watch)  # type: ignore[call-overload]
