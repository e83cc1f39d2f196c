"""Builds the initial RAM disk of the test machine: busybox, kernel modules in loading order, and the first script.

Reads the modules' own sections instead of calling depmod and cpio, so that nothing else need be installed.
"""

from __future__ import annotations

import lzma
import stat
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

# What mounting the host's files needs, then what the tests need. crc32c_generic is not named by nf_tables, but its
# library refuses to load without it.
MODULES = (
    *("virtio_pci", "9pnet_virtio", "9p", "overlay"),
    *("wireguard", "veth", "dummy", "bridge", "tun"),
    *("crc32c_generic", "nf_tables", "nft_chain_nat", "nft_masq", "nft_ct", "nft_nat", "nft_numgen"),
)
DIRECTORIES = ("dev", "lower", "newroot", "proc", "run", "sys", "tmp", "upper")


def read_module(path: Path) -> bytes:
    """A module's ELF file; newer Debian packages hold it compressed."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def section(elf: bytes, wanted: bytes) -> bytes:
    """The content of a section of a 64-bit little-endian ELF file, empty if there is none."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    rows = [struct.unpack_from("<IIQQQQ", elf, table + index * size) for index in range(count)]
    names_at = rows[names][4]
    for name_offset, _, _, _, offset, length in rows:
        start = names_at + name_offset
        if elf[start : elf.index(b"\0", start)] == wanted:
            return elf[offset : offset + length]
    return b""


def dependencies(elf: bytes) -> list[str]:
    """The modules that must be loaded before this one."""
    for entry in section(elf, b".modinfo").split(b"\0"):
        if entry.startswith(b"depends="):
            return [name for name in entry[len(b"depends=") :].decode().split(",") if name]
    return []


def load_order(tree: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """The modules with all they depend on, in the order in which they can be loaded."""
    index = {path.name.split(".")[0].replace("-", "_"): path for path in tree.rglob("*.ko*")}
    order: dict[str, bytes] = {}

    def add(name: str) -> None:
        name = name.replace("-", "_")
        if name in order:
            return
        if name not in index:
            print(f"{name} is built in, or this kernel has none", file=sys.stderr)
            return
        elf = read_module(index[name])
        for needed in dependencies(elf):
            add(needed)
        order[name] = elf

    for name in wanted:
        add(name)
    return order


def _entry(number: int, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One file of a cpio archive in the `newc` format."""
    label = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(label), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + label
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def build(tree: Path, init: bytes, busybox: bytes) -> bytes:
    """The archive. `tree` is the package's /lib/modules/<version>."""
    modules = load_order(tree, MODULES)
    files = {f"mod/{name}.ko": elf for name, elf in modules.items()}
    files["mod/order"] = ("\n".join(modules) + "\n").encode()
    programs = {"bin/busybox": busybox, "init": init}
    entries: list[tuple[str, int, bytes, tuple[int, int]]] = [
        (name, stat.S_IFDIR | 0o755, b"", (0, 0)) for name in ("bin", "mod", *DIRECTORIES)
    ]
    entries.append(("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)))
    entries += [(name, stat.S_IFREG | 0o644, data, (0, 0)) for name, data in files.items()]
    entries += [(name, stat.S_IFREG | 0o755, data, (0, 0)) for name, data in programs.items()]
    entries.append(("TRAILER!!!", 0, b"", (0, 0)))
    return b"".join(_entry(number, *entry) for number, entry in enumerate(entries, start=1))
