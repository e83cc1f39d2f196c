"""What a confined child may ask of the kernel: a real process, which makes each call."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import termios
import threading
from collections.abc import Callable
from typing import Any

import pytest
from wgmesh.supervisor.io import process, syscall_filter
from wgmesh.supervisor.settings import IDENTITIES, ChildSpec
from wgmesh.supervisor.syscalls import CLONE_THREAD, FORBIDDEN, NAMESPACES

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
F_SETOWN = 8
FIOSETOWN = 0x8901
CLONE_VM, CLONE_SIGHAND = 0x100, 0x800
NO_CALL = 9999
INVALID = 0xFFFF_FFFF  # an address, a length or a flag that no call takes

# Calls whose arguments decide, and those that any user could make: what the kernel says without a filter is not EPERM.
CHOSEN: dict[str, tuple[str, tuple[int, ...]]] = {
    "a signal to the parent": ("kill", (os.getpid(), 0)),
    "a signal to a thread of the parent": ("tgkill", (os.getpid(), os.getpid(), 0)),
    "another program": ("execve", (0, 0, 0)),
    "a process": ("clone", (signal.SIGCHLD, 0, 0, 0, 0)),
    "a trace": ("ptrace", (INVALID, 0, 0, 0)),
    "the memory of others": ("process_vm_readv", (os.getpid(), 0, 0, 0, 0, 0)),
    "a namespace, by unshare": ("unshare", (0,)),
    "a namespace, by setns": ("setns", (INVALID, 0)),
    "a ring of requests": ("io_uring_setup", (0, 0)),
    "a key": ("keyctl", (INVALID, 0, 0, 0, 0)),
    "a handle of a process": ("pidfd_open", (os.getpid(), 0)),
    "the limits of others": ("prlimit64", (os.getpid(), 0, 0, 0)),
    "a filter of its own": ("seccomp", (INVALID, 0, 0)),
}
# A thread without a stack, which would end in a crash where it is made.
THREADS = {
    f"a namespace {flag:x} for a thread": ("clone", (flag | CLONE_THREAD | CLONE_VM | CLONE_SIGHAND, 0, 0, 0, 0))
    for flag in NAMESPACES
}


@pytest.mark.attack("a program in a process of a node", "execute programs, trace, mount, load code into the kernel")
def test_what_is_forbidden_is_refused_and_ends_nobody() -> None:
    everything = {name: (name, (INVALID,) * 6) for name in FORBIDDEN.split()} | CHOSEN | THREADS

    answers = answers_of(everything, syscall_filter.compiled())

    assert {"execve", "ptrace", "bpf", "mount", "kexec_load", "finit_module", "perf_event_open"} <= answers.keys()
    assert {name: answer for name, answer in answers.items() if answer != errno.EPERM} == {}


def test_without_the_filter_the_kernel_would_do_it_or_find_another_fault() -> None:
    answers = answers_of(CHOSEN, b"")

    # a kernel can be built without them, and a container can forbid them
    rarely_there = {"a ring of requests", "a key", "the memory of others"}
    assert errno.EPERM not in {answer for name, answer in answers.items() if name not in rarely_there}


def test_what_nobody_names_is_answered_as_by_a_kernel_that_does_not_have_it() -> None:
    unnamed = {
        "a thread whose flags cannot be seen": ("clone3", (0, 0)),
        "no call": ("", (0,)),
        "a raw frame": ("socket", (socket.AF_PACKET, 3, 0)),
        "signals of a file for others": ("fcntl", (0, F_SETOWN, os.getpid())),
        "signals of a socket for others": ("ioctl", (0, FIOSETOWN, 0)),
        "a sign typed into the terminal": ("ioctl", (0, termios.TIOCSTI, 0)),
        "to be dumpable again": ("prctl", (PR_SET_DUMPABLE, 1, 0, 0, 0)),
    }

    assert set(answers_of(unnamed, syscall_filter.compiled()).values()) == {errno.ENOSYS}


def test_threads_sockets_files_and_signals_to_itself_go_on() -> None:
    def work() -> list[str]:
        done: list[str] = []
        thread = threading.Thread(target=done.append, args=("thread",))
        thread.start()
        thread.join()
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
            kind = socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_DGRAM
            with socket.socket(family, kind) as made:
                made.setblocking(False)
        signal.signal(signal.SIGUSR1, lambda number, frame: done.append("signal"))
        signal.raise_signal(signal.SIGUSR1)
        with open("/proc/self/statm") as file:
            file.read()
        os.listdir("/proc/self/fd")
        return done

    assert told_by(work, syscall_filter.compiled()) == ["thread", "signal"]


def test_a_machine_without_the_library_is_named_and_no_error() -> None:
    found = syscall_filter.available("libnothing.so.9")

    assert (found.program, found.obstacle) == (b"", "libnothing.so.9 is not installed")


def test_a_child_cannot_be_dumped_although_its_parent_can() -> None:
    def look() -> list[Any]:
        return [ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)]

    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # another test may have changed users, which undoes it
    assert look()[0] == 1
    assert told_by(look, b"") == [0, [0, 0]]


def answers_of(calls: dict[str, tuple[str, tuple[int, ...]]], program: bytes) -> dict[str, int]:
    """The error numbers that a child gets, 0 for none. Calls that this kind of machine does not have are left out."""
    library = ctypes.CDLL(syscall_filter.LIBRARY)
    libc = ctypes.CDLL(None, use_errno=True)
    resolve = library.seccomp_syscall_resolve_name
    numbers = {name: resolve(call.encode()) if call else NO_CALL for name, (call, _) in calls.items()}

    def answer(name: str) -> int:
        ctypes.set_errno(0)
        own = os.getpid()
        result = libc.syscall(ctypes.c_long(numbers[name]), *map(ctypes.c_ulong, calls[name][1]))
        if os.getpid() != own:  # it was made
            os._exit(0)
        return ctypes.get_errno() if result == -1 else 0

    told: dict[str, int] = told_by(lambda: {name: answer(name) for name in numbers if numbers[name] >= 0}, program)
    return told


def told_by(work: Callable[[], Any], program: bytes) -> Any:
    """What `work` returns in a child of the supervisor with this filter."""
    reading, writing = os.pipe()

    def target(notify: Callable[[], None]) -> int:
        os.write(writing, json.dumps(work()).encode())
        return 0

    child = process.fork(ChildSpec("toy", target, IDENTITIES["node"], syscalls=program), None, (reading,))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    assert child.reap() == 0
    return json.loads(data)
