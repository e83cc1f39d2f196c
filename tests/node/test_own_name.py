from __future__ import annotations

import ipaddress

from wgmesh.core.wire.announcement_room import networks_problem
from wgmesh.node.own_name import renamed


def test_the_hosts_new_name_is_told_in_the_form_that_a_mesh_carries() -> None:
    assert renamed("before", "Büro 2", ()) == "Buro-2"
    assert renamed("before", "💻", ()) == ""


def test_a_name_that_leaves_no_room_for_the_networks_is_not_taken() -> None:
    networks = [ipaddress.ip_network(f"10.{number}.0.0/24") for number in range(256)]
    room = next(n for n in range(256, 0, -1) if not networks_problem(tuple(networks[:n]), "a"))
    fitting = tuple(networks[:room])

    assert renamed("a", "x" * 63, fitting) == "a"
    assert renamed("a", "b", fitting) == "b"
