"""Each child is told its share of the settings, and nothing else decides."""

from __future__ import annotations

import ipaddress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from wgmesh.core.keys.keyschedule import MeshKeys, derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.settings import DEFAULT_DHT_BOOTSTRAP, MeshSettings
from wgmesh.runtime.sealed_secret import SealedSecret
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.supervisor.assembly import REQUIRES, children
from wgmesh.supervisor.io.syscall_filter import Filter

SECRET = Secret.parse("wgmesh://v1/correct-horse-battery-staple")
LAYOUT = derive(SECRET).layout


def shells(settings: MeshSettings) -> dict[str, RuntimeSettings]:
    """What each child is told that does not depend on what it does."""
    secret = SealedSecret.of(SECRET)
    specs = children(settings, LAYOUT, secret, Filter())
    secret.close()
    return {spec.name: spec.target.args[0] for spec in specs if isinstance(spec.target, partial)}


def told(child: str, **chosen: Any) -> Any:
    """The settings that `child` gets of a node with these."""
    settings = MeshSettings("home", state_dir=Path("/srv/state"), **chosen)
    secret = SealedSecret.of(SECRET)
    (spec,) = (spec for spec in children(settings, LAYOUT, secret, Filter()) if spec.name == child)
    assert isinstance(spec.target, partial)
    _, beginning, _ = spec.target.args
    return beginning(secret).keywords["settings"]


def test_an_introducer_is_known_to_those_who_announce_and_arrange() -> None:
    assert [told(child, introducer=True).introducer for child in ("discovery", "node")] == [True, True]
    assert not told("discovery").introducer


def test_the_dht_is_used_with_the_built_in_contacts_unless_told_otherwise() -> None:
    assert (told("discovery").dht, told("discovery").dht_bootstrap) == (True, DEFAULT_DHT_BOOTSTRAP)
    assert told("discovery", dht=False).dht is False


def test_a_private_dht_keeps_the_public_one_off() -> None:
    discovery = told("discovery", private_dht=("192.0.2.1:5",))

    assert (discovery.dht, discovery.private_dht) == (False, ("192.0.2.1:5",))


def test_every_service_is_told_to_say_what_it_serves() -> None:
    talkative = shells(MeshSettings("home", metrics_address="127.0.0.1:9090", debug_rpc=True))

    assert {name for name, shell in talkative.items() if shell.debug_rpc} == set(REQUIRES)
    assert not any(shell.debug_rpc for shell in shells(MeshSettings("home")).values())


def test_the_accepted_routes_go_to_the_node_and_bind_the_wireguard_process_too() -> None:
    assert told("node", accept_routes=()).accept_routes == ()
    assert told("wireguard", accept_routes=()).limits.accept_routes == ()


def test_the_wireguard_process_is_told_the_meshs_networks_and_what_the_operator_has_set_and_no_secret() -> None:
    subnet = ipaddress.IPv4Network("10.50.0.0/16")
    wireguard = told("wireguard", mesh_subnet=subnet, listen_port=51999, mtu=1380)

    assert wireguard.limits.mesh == (subnet, derive(SECRET).ipv6_network)
    assert told("wireguard").limits.mesh == (derive(SECRET).default_ipv4_network, derive(SECRET).ipv6_network)
    assert (wireguard.limits.listen_port, wireguard.limits.mtu) == (51999, 1380)
    assert "correct-horse" not in repr(wireguard)


def test_the_secret_goes_to_those_who_compute_addresses_and_to_nobody_else() -> None:
    assert [told(child).secret for child in ("discovery", "node")] == [SECRET, SECRET]
    for child in ("wireguard", "nat", "metrics"):
        settings = told(child, metrics_address="127.0.0.1:9090")
        assert not any(isinstance(getattr(settings, name), Secret | MeshKeys) for name in settings.__slots__), child


@pytest.mark.parametrize("child", REQUIRES)
def test_no_child_goes_on_with_the_descriptor_of_the_secret(child: str) -> None:
    secret = SealedSecret.of(SECRET)
    settings = MeshSettings("home", metrics_address="127.0.0.1:9090")
    (spec,) = (spec for spec in children(settings, LAYOUT, secret, Filter()) if spec.name == child)
    assert isinstance(spec.target, partial)

    spec.target.args[1](secret)

    with pytest.raises(OSError, match="Bad file descriptor"):
        secret.close()


def test_only_the_process_that_clients_speak_to_may_end_the_node() -> None:
    secret = SealedSecret.of(SECRET)
    specs = children(MeshSettings("home", metrics_address="127.0.0.1:9090"), LAYOUT, secret, Filter())
    secret.close()

    assert {spec.name for spec in specs if spec.may_stop_node} == {"node"}
