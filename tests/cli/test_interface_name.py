from __future__ import annotations

import pytest
from support.vectors import load_vectors
from wgmesh.cli.interface_name import parse_interface_name
from wgmesh.core.errors import InvalidSetting


def test_names_are_accepted_and_refused_as_upstream_does() -> None:
    for case in load_vectors("ifname")["cases"]:
        if case["error"]:
            with pytest.raises(InvalidSetting):
                parse_interface_name(case["name"])
        else:
            assert parse_interface_name(case["name"]) == (case["name"] or "wg0")


def test_a_name_longer_than_the_kernel_allows_is_refused() -> None:
    assert parse_interface_name("a" * 15) == "a" * 15
    with pytest.raises(InvalidSetting, match="15"):
        parse_interface_name("a" * 16)
