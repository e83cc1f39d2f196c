"""From the rules of `supervisor/syscalls.py` to a filter in the kernel (seccomp(2)).

libseccomp knows the numbers of the calls on every kind of machine and writes the program. That is done once, in the
supervisor; each child gives the finished program to the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import termios
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from wgmesh.core.errors import NotSupported
from wgmesh.supervisor.io import capabilities
from wgmesh.supervisor.syscalls import OWN_PID, Condition, Rule, rules

LIBRARY = "libseccomp.so.2"

# seccomp.h
ALLOW = 0x7FFF_0000
ERRNO = 0x0005_0000
BAD_ARCHITECTURE = 2
OPTIMIZE = 8
BINARY_TREE = 2  # of some 250 calls, eight comparisons instead of all
NO_SUCH_CALL = -1

# linux/seccomp.h, linux/prctl.h
PR_SET_SECCOMP = 22
MODE_FILTER = 2

INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter of linux/filter.h
COMPARE_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
PROGRAM_BYTES_MAX = 4096 * INSTRUCTION.size  # the kernel takes no longer one (BPF_MAXINSNS)

IOCTLS = (
    termios.TCGETS, termios.TIOCGWINSZ, termios.FIONREAD, termios.FIONBIO, termios.FIOCLEX, termios.FIONCLEX,
)  # fmt: skip


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("compare", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


@dataclass(frozen=True, slots=True)
class Filter:
    """The program for the kernel, or why there is none."""

    program: bytes = field(default=b"", repr=False)
    obstacle: str = ""


def available(library: str = LIBRARY) -> Filter:
    """Returns the filter of this machine, or what stands in the way. A node runs without it, and says so."""
    try:
        return Filter(compiled(library))
    except NotSupported as error:
        return Filter(obstacle=str(error))


def compiled(name: str = LIBRARY) -> bytes:
    """Returns the program for this machine. Raises NotSupported where the kernel or the library cannot do it."""
    if capabilities.prctl_error(PR_SET_SECCOMP, MODE_FILTER) != errno.EFAULT:  # it missed only the program
        raise NotSupported("this kernel has no filters of system calls (CONFIG_SECCOMP_FILTER)")
    try:
        library = ctypes.CDLL(name)
    except OSError:
        raise NotSupported(f"{name} is not installed") from None
    library.seccomp_init.restype = ctypes.c_void_p
    with _context(library) as context:
        for rule in rules(os.uname().machine, IOCTLS):
            _add(library, context, rule)
        return _exported(library, context)


def install(program: bytes) -> None:
    """Filters the calls of this process from now on, for good. Raises OSError; the process must then end."""
    own = _with_pid(program, os.getpid())
    instructions = ctypes.create_string_buffer(own, len(own))
    described = _Program(len(own) // INSTRUCTION.size, ctypes.addressof(instructions))
    capabilities.forbid_new_privileges()  # the kernel wants it of all but root
    if number := capabilities.prctl_error(PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(described)):
        raise OSError(number, f"the filter of system calls was refused: {os.strerror(number)}")


@contextmanager
def _context(library: ctypes.CDLL) -> Iterator[ctypes.c_void_p]:
    context = ctypes.c_void_p(library.seccomp_init(ERRNO | errno.ENOSYS))
    if not context:
        raise NotSupported(f"{LIBRARY} makes no filter")
    try:
        _check(library.seccomp_attr_set(context, BAD_ARCHITECTURE, ERRNO | errno.EPERM))
        library.seccomp_attr_set(context, OPTIMIZE, BINARY_TREE)  # before 2.5 it cannot, and the filter is a list
        yield context
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: ctypes.c_void_p, rule: Rule) -> None:
    number = library.seccomp_syscall_resolve_name(rule.call.encode())
    if number == NO_SUCH_CALL:  # newer than the library, or of another kind of machine
        return
    comparisons = [_comparison(rule.condition)] if rule.condition is not None else []
    array = (_Comparison * 1)(*comparisons)
    action = ALLOW if rule.allows else ERRNO | errno.EPERM
    _check(library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(comparisons), array))


def _comparison(condition: Condition) -> _Comparison:
    pair = (condition.mask, condition.value) if condition.mask else (condition.value, 0)
    return _Comparison(condition.argument, condition.compare, *pair)


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    reading, writing = os.pipe()  # it takes 64 KiB before anybody reads, and the longest program has half of it
    try:
        _check(library.seccomp_export_bpf(context, writing))
        return os.read(reading, PROGRAM_BYTES_MAX)
    finally:
        os.close(reading)
        os.close(writing)


def _with_pid(program: bytes, pid: int) -> bytes:
    return b"".join(
        INSTRUCTION.pack(code, yes, no, pid if (code, value) == (COMPARE_EQUAL, OWN_PID) else value)
        for code, yes, no, value in _instructions(program)
    )


def _instructions(program: bytes) -> Iterable[tuple[int, int, int, int]]:
    return INSTRUCTION.iter_unpack(program)


def _check(result: int) -> None:
    if result < 0:
        raise NotSupported(f"{LIBRARY} refuses a rule: {os.strerror(-result)}")
