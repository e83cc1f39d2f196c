"""Starts the program again without the secret in its arguments and its environment.

The kernel shows both in /proc/PID/cmdline and /proc/PID/environ, and Python copies both before the first line of ours
runs: into sys.argv, sys.orig_argv, os.environ and its own configuration. To overwrite the kernel's view leaves the
copies, and every process that is forked inherits them. execve(2) gives all of that memory back.

The secret goes on as `--secret-file /proc/self/fd/N`, a sealed file in memory.
"""

from __future__ import annotations

import os
import sys

from wgmesh.cli.app import SECRET_VARIABLE
from wgmesh.runtime import memory_file

TYPE_CHECKING = False  # typing would take 2 ms, dataclasses 10; all that is loaded here is loaded twice
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

STANDARD_INPUT = "-"
VISIBLE_SECRET = "the secret on the command line can be seen by every user of this machine; use --secret-file"
SECRET_FLAG = "--secret"
SECRET_FILE_FLAG = "--secret-file"
SERVING = "join"  # forks, and goes on for months
ASKING = frozenset({"qr", "status", "test-peer"})  # take `--secret`; what they find in the environment stays there
DESCRIPTOR_PATH = "/proc/self/fd/"


class CleanCall:
    """A call without the secret in it. `secret` is handed over by a descriptor, whose path is added to the words."""

    __slots__ = ("environ", "secret", "was_typed", "words")

    def __init__(
        self, words: tuple[str, ...], environ: Mapping[str, str], secret: str | None = None, was_typed: bool = False
    ) -> None:
        self.words = words
        self.environ = environ
        self.secret = secret
        self.was_typed = was_typed


def start_again(words: Sequence[str]) -> None:
    """Replaces this process by one without the secret in sight; returns where there is none. Raises NotSupported."""
    call = clean_call(words, os.environ)
    if call is None:
        return
    if call.was_typed:
        from wgmesh.cli.output import warn

        warn(VISIBLE_SECRET)
    _execute(call)


def clean_call(words: Sequence[str], environ: Mapping[str, str]) -> CleanCall | None:
    """Returns what to run instead, or None where nothing is to be hidden or the call is a mistake that ends at once."""
    if not words or words[0] not in {SERVING, *ASKING}:
        return None
    typed, rest = _without_secret(words)
    names_file = any(word.partition("=")[0] == SECRET_FILE_FLAG for word in rest)
    if typed and names_file:  # one too many, which the command says
        return None
    found = environ.get(SECRET_VARIABLE) if words[0] == SERVING else None
    if not found and all(text == STANDARD_INPUT for text in typed):
        return None
    clean = {name: value for name, value in environ.items() if not found or name != SECRET_VARIABLE}
    if not typed:
        return CleanCall(rest, clean, None if names_file else found)
    if typed[-1] == STANDARD_INPUT:
        return CleanCall((*rest, SECRET_FLAG, STANDARD_INPUT), clean)
    return CleanCall(rest, clean, typed[-1], was_typed=True)


def _without_secret(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The values of `--secret`, and the words without them."""
    typed: list[str] = []
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        flag, has_value, value = word.partition("=")
        if flag != SECRET_FLAG:
            rest.append(word)
        elif has_value:
            typed.append(value)
        elif (following := next(remaining, None)) is not None:
            typed.append(following)
        else:
            rest.append(word)  # without a value, which the command says
    return typed, tuple(rest)


def _execute(call: CleanCall) -> NoReturn:
    words = call.words
    if call.secret is not None:
        descriptor = memory_file.create()
        memory_file.fill(descriptor, call.secret.encode("utf-8", "surrogateescape"))
        os.set_inheritable(descriptor, True)
        words = (*words, SECRET_FILE_FLAG, f"{DESCRIPTOR_PATH}{descriptor}")
    python = sys.executable or "/proc/self/exe"  # Python does not always find out what it is
    program = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]  # with Python's own flags
    os.execve(python, (python, *program, *words), dict(call.environ))
