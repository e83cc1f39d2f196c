"""A kernel that cannot guard is told from one that has no table yet."""

from __future__ import annotations

import pytest
from wgmesh.core.errors import NotSupported
from wgmesh.wireguard.io.netfilter import GuardTable

NO_PROTOCOL = 31  # the last number that a netlink protocol can have (linux/netlink.h, MAX_LINKS); the kernel has none


def test_a_kernel_without_nf_tables_is_named() -> None:
    with pytest.raises(NotSupported, match="This kernel has no nf_tables"):
        GuardTable("wg0", NO_PROTOCOL).names()
    with pytest.raises(NotSupported, match="CONFIG_NF_TABLES_INET"):
        GuardTable("wg0", NO_PROTOCOL).replace(())
