"""Each child is told its share of the settings, and nothing else decides."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from wgmesh.core.secret import Secret
from wgmesh.core.settings import DEFAULT_DHT_BOOTSTRAP, MeshSettings
from wgmesh.supervisor.assembly import children

SECRET = Secret.parse("wgmesh://v1/correct-horse-battery-staple")


def told(child: str, **chosen: Any) -> Any:
    """The settings that `child` gets of a node with these."""
    settings = MeshSettings(SECRET, "home", state_dir=Path("/srv/state"), **chosen)
    (spec,) = (spec for spec in children(settings) if spec.name == child)
    assert isinstance(spec.target, partial)
    _, main = spec.target.args
    return main.keywords["settings"]


def test_an_introducer_is_known_to_those_who_announce_and_arrange() -> None:
    assert [told(child, introducer=True).introducer for child in ("discovery", "node")] == [True, True]
    assert not told("discovery").introducer


def test_the_dht_is_used_with_the_built_in_contacts_unless_told_otherwise() -> None:
    assert (told("discovery").dht, told("discovery").dht_bootstrap) == (True, DEFAULT_DHT_BOOTSTRAP)
    assert told("discovery", dht=False).dht is False


def test_a_private_dht_keeps_the_public_one_off() -> None:
    discovery = told("discovery", private_dht=("192.0.2.1:5",))

    assert (discovery.dht, discovery.private_dht) == (False, ("192.0.2.1:5",))


def test_the_accepted_routes_go_to_the_node() -> None:
    assert told("node", accept_routes=()).accept_routes == ()
