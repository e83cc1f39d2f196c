from __future__ import annotations

import asyncio

import pytest
from support.doubles.virtual_time import in_virtual_time
from wgmesh.runtime.uninterrupted import to_its_end


@in_virtual_time
async def test_work_that_has_begun_ends_although_its_caller_is_cancelled_and_then_the_caller_is() -> None:
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(1.0)
        done.append("the first half")
        await asyncio.sleep(1.0)
        done.append("the second half")

    caller = asyncio.ensure_future(to_its_end(work()))
    await asyncio.sleep(0.5)
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0.1)
        assert not caller.done()

    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["the first half", "the second half"]


@in_virtual_time
async def test_without_a_cancellation_it_is_an_await() -> None:
    async def work(fault: Exception | None) -> int:
        await asyncio.sleep(1.0)
        if fault is not None:
            raise fault
        return 7

    assert await to_its_end(work(None)) == 7
    with pytest.raises(KeyError):
        await to_its_end(work(KeyError("hostname")))


@in_virtual_time
async def test_a_failure_that_nobody_waits_for_is_not_told_as_a_forgotten_one() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

    async def work() -> None:
        await asyncio.sleep(1.0)
        raise KeyError("hostname")

    caller = asyncio.ensure_future(to_its_end(work()))
    await asyncio.sleep(0.5)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller

    assert told == []
