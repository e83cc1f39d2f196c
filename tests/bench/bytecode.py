"""Whether the program is compiled: a node that finds no .pyc files compiles its modules itself, at every start.

Run as a program it prints the modules of a node that have none of their own age, one a line.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

HEADER_BYTES = 16  # PEP 552: magic number, flags, the source's time and size


def uncompiled() -> list[str]:
    """The names of a node's modules that are compiled at each start. In a process of its own, which then ends:
    what this one loads it would share with the nodes that it measures."""
    found = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
    return found.stdout.split()


def is_compiled(source: Path) -> bool:
    """Tells whether Python will take the .pyc of this source, by its time and size (PEP 3147)."""
    cached = Path(cache_from_source(str(source)))
    if not cached.exists():
        return False
    header, seen = cached.read_bytes()[:HEADER_BYTES], source.stat()
    of_source = int(seen.st_mtime).to_bytes(4, "little") + seen.st_size.to_bytes(4, "little")
    return header[4:8] == bytes(4) and header[8:] == of_source


def main() -> None:
    import wgmesh.supervisor.assembly

    assert wgmesh.supervisor.assembly
    for name, module in sorted(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if origin and origin.endswith(".py") and not is_compiled(Path(origin)):
            print(name)


if __name__ == "__main__":
    main()
