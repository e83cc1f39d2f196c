"""What lies in the memory of a process, as root reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_READABLE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r")
_NOT_MEMORY = ("[vvar", "[vsyscall]")  # the kernel's own pages, which /proc/PID/mem does not give
_PIECE = 8 << 20


def found_in(pid: int, needles: Mapping[str, bytes]) -> set[str]:
    """The names of those that lie anywhere in the memory of a process, its stack and its files in memory included."""
    found = set()
    overlap = max(map(len, needles.values())) - 1
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in _regions(pid):
            before = b""
            for at in range(start, end, _PIECE):
                try:
                    memory.seek(at)
                    piece = before + memory.read(min(_PIECE, end - at))
                except OSError:  # unmapped since, or of a device
                    break
                found |= {name for name, needle in needles.items() if needle in piece}
                before = piece[-overlap:]
    return found


def _regions(pid: int) -> list[tuple[int, int]]:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    matches = [_READABLE.match(line) for line in lines if not any(name in line for name in _NOT_MEMORY)]
    return [(int(match[1], 16), int(match[2], 16)) for match in matches if match]
