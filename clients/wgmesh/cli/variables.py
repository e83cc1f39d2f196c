"""The variables of the environment that mean something to wgmesh, and a word about those that mean nothing.

A misspelt variable would otherwise be a setting that somebody believes to be set.
"""

from __future__ import annotations

from collections.abc import Iterable

from wgmesh.cli.app import SECRET_VARIABLE, TRACEBACK_VARIABLE
from wgmesh.cli.join_flags import CONFIG_VARIABLE
from wgmesh.cli.join_settings import REFUSED, SETTINGS

PREFIX = "WGMESH_"
SHOWN_MAX = 8  # a screen is for what the command has to say

# Read by the tests and tools of the project; programs that they start inherit them.
OF_THE_TESTS = frozenset(
    f"{PREFIX}{name}"
    for name in ("REQUIRE_LAB", "MACHINE_EXAMPLES", "MACHINE_SHRINK", "CACHE_DIR", "FUZZ_TARGET", "BENCH_LARGE")
)
REFUSED_ONES = {PREFIX + name.upper().replace("-", "_") for name in REFUSED}  # each is an error of its own
KNOWN = {row.variable for row in SETTINGS} | {
    SECRET_VARIABLE,
    f"{SECRET_VARIABLE}_FILE",
    CONFIG_VARIABLE,
    TRACEBACK_VARIABLE,
    f"{PREFIX}TIMEOUT",
}


def doubts(names: Iterable[str]) -> list[str]:
    """A sentence for each name that begins like ours and is none, with the nearest that is. Never a value."""
    unknown = sorted(
        name for name in names if name.startswith(PREFIX) and name not in KNOWN | REFUSED_ONES | OF_THE_TESTS
    )
    told = [f"the variable {name!r} means nothing to wgmesh{_nearest(name)}" for name in unknown[:SHOWN_MAX]]
    more = len(unknown) - SHOWN_MAX
    return told if more <= 0 else [*told, f"and {more} more variables that begin with {PREFIX} mean nothing to it"]


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(KNOWN), n=1)
    return f"; did you mean {close[0]}?" if close else "; `wgmesh help join` lists the flags, which are variables too"
