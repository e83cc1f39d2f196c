"""A host that can have no device: `join` ends, and says why in the words of the program that could not make it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.lab.wireguard_lab import kernel_has_wireguard
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret

NO_TUN = 'mount -t tmpfs none /dev/net && exec "$@"'
NO_TUN_DEVICE = 'mount --bind /dev/null /dev/net/tun && exec "$@"'
BROKEN = "#!/bin/sh\necho 'ERROR: (wg0) 2026/11/28 06:38:34 Failed to create TUN device: quota exceeded' >&2\nexit 1\n"


@pytest.fixture(autouse=True)
def without_kernel_wireguard() -> None:
    if kernel_has_wireguard():
        pytest.skip("this kernel has WireGuard, which needs no program and no TUN device")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (NO_TUN, '/dev/net/tun does not exist"'),
        (NO_TUN_DEVICE, 'Failed to create TUN device: inappropriate ioctl for device"'),
    ],
    ids=["no /dev/net/tun", "no TUN device behind it"],
)
def test_without_a_tun_device_join_ends_with_the_words_of_wireguard_go(fabric: Fabric, script: str, words: str) -> None:
    (host,) = fabric.add_hosts(["a"])
    before = host.exec("ip", "-br", "link")
    done = host.attempt("unshare", "-m", "sh", "-c", script, "sh", *MeshNode(host, new_secret()).join_argv())
    assert done.returncode == 1
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("wgmesh: ")]
    assert words in told and "/dev/net/tun" in told
    assert host.exec("ip", "-br", "link") == before


def test_a_program_that_always_fails_ends_the_start_and_one_that_fails_once_does_not(
    fabric: Fabric, tmp_path: Path
) -> None:
    (host,) = fabric.add_hosts(["a"])
    tmp_path.chmod(0o755)
    program = tmp_path / "broken-go"
    program.write_text(BROKEN)
    program.chmod(0o755)
    environment = {"WG_QUICK_USERSPACE_IMPLEMENTATION": str(program)}
    argv = MeshNode(host, new_secret()).join_argv()

    done = host.attempt("env", *(f"{name}={value}" for name, value in environment.items()), *argv)

    assert done.returncode == 1 and 'said "Failed to create TUN device: quota exceeded"' in done.stderr

    mark = tmp_path / "failed"
    mark.write_text("")
    mark.chmod(0o666)
    program.write_text(f'#!/bin/sh\ntest -s {mark} && exec wireguard-go "$@"\necho yes > {mark}\n{BROKEN[10:]}')
    node = MeshNode(host, new_secret(), environment=environment)
    node.start()
    node.wait_until_ready()
    (line,) = [each for each in node.running_process().output().splitlines() if "device not made" in each]
    assert "quota exceeded" in line
