"""What the kernel says after each call: it keeps capabilities for each thread, so a thread gives up only its own."""

from __future__ import annotations

import ctypes
import errno
import signal
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

import pytest
from wgmesh.supervisor.io import capabilities
from wgmesh.supervisor.settings import Capability

pytestmark = pytest.mark.root  # only root can give privileges away

T = TypeVar("T")

# linux/prctl.h
PR_GET_PDEATHSIG = 2
PR_GET_SECUREBITS = 27

AUDIT_READ = cast(Capability, 37)  # linux/capability.h: one whose bit lies in the second word of a set
WITHOUT_ROOT = capabilities.SECBIT_NOROOT | capabilities.SECBIT_NOROOT_LOCKED
SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def in_a_thread(act: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


def status(text: str = "") -> dict[str, str]:
    lines = (text or Path("/proc/thread-self/status").read_text()).splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def bits(kept: Iterable[Capability]) -> int:
    return sum(1 << number for number in kept)


def securebits() -> int:
    return int(ctypes.CDLL(None).prctl(PR_GET_SECUREBITS, 0, 0, 0, 0))


@pytest.mark.parametrize("kept", [(), (Capability.NET_ADMIN,), (Capability.NET_ADMIN, Capability.NET_RAW, AUDIT_READ)])
def test_exactly_the_given_capabilities_remain_in_all_sets(kept: tuple[Capability, ...]) -> None:
    def act() -> dict[str, str]:
        capabilities.set_capabilities((Capability.NET_RAW, *kept))
        capabilities.set_capabilities(kept)
        return status()

    found = in_a_thread(act)

    assert {name: int(found[name], 16) for name in SETS} == dict.fromkeys(SETS, bits(kept))


def test_a_capability_that_the_process_does_not_have_is_refused_and_the_refusal_is_an_error() -> None:
    def act() -> int:
        capabilities.set_capabilities(())
        with pytest.raises(PermissionError, match=r"\] capset: Operation") as caught:
            capabilities.set_capabilities([Capability.NET_ADMIN])
        return caught.value.errno or 0

    assert in_a_thread(act) == errno.EPERM


def test_no_capability_can_be_gained_beyond_those_that_were_kept() -> None:
    kept = [Capability.NET_RAW, AUDIT_READ]

    def act() -> dict[str, str]:
        capabilities.drop_bounding(kept)
        return status()

    assert int(in_a_thread(act)["CapBnd"], 16) == bits(kept)


def test_what_cannot_be_gained_already_needs_no_right_to_be_dropped() -> None:
    def act() -> None:
        capabilities.drop_bounding([])
        capabilities.set_capabilities([])
        capabilities.drop_bounding([])

    in_a_thread(act)


@pytest.mark.parametrize(
    "call", [lambda: capabilities.drop_bounding([]), capabilities.keep_permitted_across_user_change]
)
def test_what_the_kernel_refuses_is_an_error(call: Callable[[], None]) -> None:
    def act() -> None:
        capabilities.set_capabilities([])
        with pytest.raises(PermissionError, match="prctl"):
            call()

    in_a_thread(act)


def test_the_kernel_confirms_that_capabilities_outlast_the_change_of_user_and_that_root_gives_none() -> None:
    def act() -> tuple[int, int]:
        capabilities.keep_permitted_across_user_change()
        before = securebits()
        capabilities.set_capabilities([])
        return before, securebits()

    before, after = in_a_thread(act)

    assert before == capabilities.SECBIT_KEEP_CAPS | WITHOUT_ROOT
    assert after == WITHOUT_ROOT  # the user is changed once


def test_a_program_that_the_process_executes_has_its_capabilities_and_no_others() -> None:
    kept = [Capability.NET_ADMIN]

    def act() -> str:
        capabilities.drop_bounding(kept)
        capabilities.keep_permitted_across_user_change()
        capabilities.set_capabilities(kept)
        capabilities.forbid_new_privileges()
        return subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout

    found = status(in_a_thread(act))

    assert {name: int(found[name], 16) for name in (*SETS, "CapBnd")} == dict.fromkeys((*SETS, "CapBnd"), bits(kept))
    assert found["NoNewPrivs"] == "1"


def test_a_process_ends_with_its_parent() -> None:
    def act() -> int:
        asked = ctypes.c_int()
        capabilities.die_with_parent()
        ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(asked), 0, 0, 0)
        return asked.value

    assert in_a_thread(act) == signal.SIGKILL


@pytest.mark.parametrize(("name", "shown"), [("wgmesh-nat", "wgmesh-nat"), ("wgmesh-discovery", "wgmesh-discover")])
def test_a_process_is_shown_under_the_first_letters_of_its_name(name: str, shown: str) -> None:
    def act() -> str:
        capabilities.name_process(name)
        return Path("/proc/thread-self/comm").read_text().strip()

    assert in_a_thread(act) == shown
