#!/bin/sh
# What the test machine does: each step prints its exit code on a line of its own, then the machine is switched off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PYTHONDONTWRITEBYTECODE=1 WGMESH_REQUIRE_LAB=1
tests=$(dirname "$0")
root=$(cd "$tests/../.." && pwd)
cd "$root" || exit 1
mount -t tmpfs tmpfs /run
export TMPDIR=/run/tmp  # not a mount over /tmp, below which the project itself may lie
mkdir -p "$TMPDIR"
mkdir -p /run/netns
ip link set lo up
echo "KERNEL $(uname -r) after $(cut -d' ' -f1 /proc/uptime) s"

step() {
    name=$1
    shift
    echo "BEGIN $name"
    "$@" 2>&1
    echo "END $name $?"
}

step nodes .venv/bin/python "$tests/two_nodes.py"
step backends .venv/bin/python -m pytest -p no:cacheprovider -q -o timeout=600 -k kernel tests/lab/test_wireguard_backends.py
busybox poweroff -f
