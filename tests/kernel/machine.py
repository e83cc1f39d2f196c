"""A virtual machine with a stock Debian kernel on the files of this one, for kernel WireGuard where there is none.

Nothing is compiled and no disk image is built. The kernel package is downloaded once and cached outside the tree.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kernel import initrd

HERE = Path(__file__).resolve().parent
META_PACKAGE = "linux-image-amd64"  # depends on the current stock kernel; the cloud kernels have no 9p
MEMORY_MB = 1024  # two nodes and pytest; the layer that holds written files lies in memory too
BOOT_TIMEOUT_S = 900.0  # one minute on two idle processors; where others want them too, many times as long
FETCH_TIMEOUT_S = 600.0
_STEP = re.compile(r"BEGIN (\w+)\n(.*?)^END \1 (\d+)$", re.MULTILINE | re.DOTALL)


class MachineUnavailable(Exception):
    """The test machine cannot be built here; the text says what to install."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step inside printed, and its exit code."""

    output: str
    exit_code: int


def cache_dir() -> Path:
    """Where downloads stay between runs."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wgmesh"
    return Path(os.environ.get("WGMESH_CACHE_DIR") or default) / "kernel"


def missing_tools() -> list[str]:
    """One sentence for each thing that the machine needs and that is not here."""
    if platform.machine() != "x86_64":
        return ["the test machine is made for x86_64"]
    tools = {
        "qemu-system-x86_64": "qemu-system-x86",
        "busybox": "busybox-static",
        "apt-get": "apt (a Debian system)",
        "dpkg-deb": "dpkg (a Debian system)",
    }
    return [f"{tool} is missing: install {name}" for tool, name in tools.items() if shutil.which(tool) is None]


def _run(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise MachineUnavailable(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _current_kernel() -> str:
    """The name of the current kernel package. Raises MachineUnavailable."""
    for attempt in range(2):
        found = re.search(r"Depends: (linux-image-\S+-amd64)", _run("apt-cache", "depends", META_PACKAGE))
        if found:
            return found.group(1)
        if attempt == 0:
            _run("apt-get", "update", "--quiet=2")
    raise MachineUnavailable(f"apt knows no {META_PACKAGE}")


def _busybox() -> bytes:
    path = shutil.which("busybox")
    if path is None:
        raise MachineUnavailable("busybox is missing: install busybox-static")
    return Path(path).read_bytes()


def prepare() -> tuple[Path, Path]:
    """Returns the kernel and the initial RAM disk, made at the first call and after each change of their sources.

    One run makes them, and others wait for it. Raises MachineUnavailable.
    """
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _prepare()


def _prepare() -> tuple[Path, Path]:
    cached = sorted(cache_dir().glob("linux-image-*/vmlinuz"))
    package = cached[-1].parent.name if cached else _current_kernel()
    place = cache_dir() / package
    place.mkdir(parents=True, exist_ok=True)
    init = (HERE / "init.sh").read_bytes()
    recipe = hashlib.sha256(init + (HERE / "initrd.py").read_bytes()).hexdigest()[:16]
    kernel, disk = place / "vmlinuz", place / f"initrd-{recipe}.cpio"
    if kernel.exists() and disk.exists():
        return kernel, disk
    if not list(place.glob("*.deb")):
        _run("apt-get", "download", "--quiet=2", package, cwd=place)
    tree = place / "tree"
    _run("dpkg-deb", "--extract", str(next(place.glob("*.deb"))), str(tree))
    unfinished = disk.with_suffix(".unfinished")
    unfinished.write_bytes(initrd.build(next(tree.glob("**/lib/modules/*")), init, _busybox()))
    unfinished.replace(disk)
    shutil.copy(next(tree.glob("boot/vmlinuz-*")), kernel)
    shutil.rmtree(tree)
    return kernel, disk


def boot(script: Path) -> dict[str, Step]:
    """Boots, runs `script` as the first program on the host's files, and returns its steps by name.

    Raises MachineUnavailable if the machine cannot be built, subprocess.TimeoutExpired if it hangs.
    """
    kernel, disk = prepare()
    done = subprocess.run(
        [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB)),
            *("-nodefaults", "-no-reboot", "-nographic", "-serial", "stdio"),
            *("-kernel", str(kernel), "-initrd", str(disk)),
            *("-append", f"console=ttyS0 quiet panic=-1 lab_script={script}"),
            *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
            *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=BOOT_TIMEOUT_S,
        check=False,
    )
    console = done.stdout.decode(errors="replace").replace("\r\n", "\n")
    steps = {name: Step(output, int(code)) for name, output, code in _STEP.findall(console)}
    if not steps:
        raise MachineUnavailable(f"the test machine said nothing useful:\n{console[-3000:]}\n{done.stderr.decode()}")
    return steps
