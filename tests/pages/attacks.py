"""docs/reference/attacks.md: attacks, and what came of each in one run."""

from __future__ import annotations

from collections.abc import Sequence

from pages.cases import Page

ATTACKERS = (
    "somebody without the secret",
    "a member",
    "a server that a node asks",
    "a program in a process of a node",
    "another user of the machine",
    "a file that lies in the way",
)

INTRODUCTION = """\
# Attacks, and what came of each

Each row is a test that carries the attack out. Those under `tests/lab` do it on real nodes with real tunnels.
`make attacks` runs them all and writes this page; {run}.
[security.md](../explanation/security.md) says what prevents each, and what is not prevented.
"""


def cells(notes: Sequence[object]) -> tuple[str, ...]:
    return ("; ".join(map(str, notes)) or "nothing that it was after",)


ATTACKS = Page("attack", ATTACKERS, "By {}", INTRODUCTION, ("tries to", "what came of it"), cells)
