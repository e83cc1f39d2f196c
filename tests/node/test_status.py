"""What clients are told of the node and its peers, and whom a selector means."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest
from wgmesh.convert.scalar import seconds
from wgmesh.core.addressing import derive_ipv4, derive_ipv6
from wgmesh.core.errors import InvalidInput, NotFound, PeerNotFound
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import (
    ApplyOutcome,
    Ban,
    Candidate,
    CandidateSource,
    DesiredDevice,
    DiscoveryLayer,
    Endpoint,
    Identity,
    LayerState,
    Mapping,
    NatReport,
    Notice,
    ObservedDevice,
    ObservedPeer,
    PathsSnapshot,
    Peer,
    PeerFailure,
    PeersSnapshot,
    PublicKey,
    RefusedRoute,
)
from wgmesh.core.model import (
    Path as MeasuredPath,
)
from wgmesh.node.addresses import Contest, OwnAddresses
from wgmesh.node.composition import Composition, World
from wgmesh.node.liveness import Liveness, Verdict
from wgmesh.node.settings import NodeSettings
from wgmesh.node.status import (
    NOT_PROVEN,
    PROVEN_BY_HANDSHAKE,
    PROVEN_BY_KEY,
    SHOWN_CHOICES_MAX,
    Picture,
    chosen_ban,
    chosen_for_ban,
    peer_statuses,
    select_peer,
    status,
)
from wgmesh.v1 import node_service_pb2 as node_pb2

SECRET = Secret.parse("wgmesh-status-test-secret")
KEYS = derive(SECRET)
OWN, ALICE, BOB, CAROL = (PublicKey(bytes([number]) * 32) for number in (9, 10, 20, 30))
OWN_ADDRESSES = OwnAddresses(derive_ipv4(OWN, SECRET, KEYS), derive_ipv6(OWN, SECRET, KEYS))
NEAR, FAR = Endpoint.parse("192.168.1.7:51820"), Endpoint.parse("198.51.100.7:51820")
NOW = 1_700_000_000.0
DEVICE = ObservedDevice("wg7", "kernel", 51820)
UNANSWERED = NatReport()
CONNECTED = Verdict(Liveness.CONNECTED, NOW)
CONNECTING = Verdict(Liveness.CONNECTING, reason="no handshake has completed yet")
SITE, OTHER_SITE = ipaddress.ip_network("192.168.77.0/24"), ipaddress.ip_network("192.168.78.0/24")


def test_before_the_first_turn_the_status_says_what_is_known_without_the_other_services() -> None:
    told = status(SETTINGS, None, "1.2.3", NOW)

    assert (told.version, told.interface, told.hostname) == ("1.2.3", "wg7", "self")
    assert (told.mesh_subnet, told.mesh_ipv6_prefix) == (str(KEYS.default_ipv4_network), str(KEYS.ipv6_network))
    assert told.mesh_fingerprint == KEYS.network_id[:8].hex()
    assert told.exchange_port == KEYS.gossip_port
    assert seconds(told, "start_time") == NOW
    assert told.public_key == b""


def test_after_a_turn_the_status_says_who_and_where_this_node_is() -> None:
    device = ObservedDevice("wg7", "kernel", 51999, mtu=1380)
    known = replace(picture(device=device, exchange_port=4711), advertised=(SITE,))

    told = status(SETTINGS, known, "1.2.3", NOW)

    assert told.public_key == OWN.raw
    assert (told.mesh_ipv4, told.mesh_ipv6) == (str(OWN_ADDRESSES.ipv4), str(OWN_ADDRESSES.ipv6))
    assert (told.backend, told.listen_port, told.mtu) == ("kernel", 51999, 1380)
    assert told.exchange_port == 4711
    assert told.routable_networks == [str(SITE)]


def test_while_there_is_no_device_nothing_is_said_of_it() -> None:
    told = status(SETTINGS, picture(device=None), "1.2.3", NOW)

    assert (told.backend, told.listen_port, told.mtu) == ("", 0, 0)
    assert told.exchange_port == KEYS.gossip_port  # and discovery has not said yet which one it got


def test_the_status_counts_the_peers_that_are_proven_to_be_reachable_and_all() -> None:
    told = status(
        SETTINGS,
        picture(
            (peer(ALICE), CONNECTED), (peer(BOB), CONNECTED), (peer(CAROL), Verdict(Liveness.STALE, NOW - 500, "old"))
        ),
        "1.2.3",
        NOW,
    )

    assert (told.active_peer_count, told.total_peer_count) == (2, 3)


def test_the_status_shows_the_parts_that_the_node_consists_of() -> None:
    known = picture(layers=(DiscoveryLayer("lan", LayerState.RUNNING),), report=NatReport(mapping=Mapping.NONE))

    told = status(SETTINGS, replace(known, services={"wireguard": True, "nat": False}), "1.2.3", NOW)

    assert [layer.name for layer in told.layers] == ["lan"]
    assert told.nat.mapping != 0
    assert [(each.name, each.connected) for each in told.services] == [("nat", False), ("wireguard", True)]


def test_what_the_operator_does_not_accept_is_refused_in_the_status_as_well_as_what_would_do_harm() -> None:
    not_accepted, harmful = RefusedRoute(SITE, ALICE, "not accepted"), RefusedRoute(OTHER_SITE, BOB, "harmful")
    known = picture()
    known = replace(
        known,
        composition=replace(known.composition, refused_routes=(not_accepted,)),
        outcome=ApplyOutcome(refused_routes=(harmful,)),
    )

    told = status(SETTINGS, known, "1.2.3", NOW)

    assert known.refused_routes == (not_accepted, harmful)
    assert [(each.network, each.public_key, each.reason) for each in told.refused_routes] == [
        (str(SITE), ALICE.raw, "not accepted"),
        (str(OTHER_SITE), BOB.raw, "harmful"),
    ]


def test_peers_are_listed_by_host_name_and_those_of_one_name_by_key() -> None:
    known = picture(*((peer(key, name), CONNECTED) for key, name in ((BOB, "b"), (CAROL, "a"), (ALICE, "b"))))

    assert [told.public_key for told in peer_statuses(known)] == [CAROL.raw, ALICE.raw, BOB.raw]


def test_a_key_that_was_left_out_of_the_composition_is_no_peer() -> None:
    known = picture((peer(ALICE), CONNECTED))
    banned = replace(known, world=replace(known.world, peers=PeersSnapshot(peers=(peer(ALICE), peer(BOB)))))

    assert [told.public_key for told in peer_statuses(banned)] == [ALICE.raw]


def test_a_peer_is_told_with_what_it_says_of_itself() -> None:
    it = replace(
        peer(ALICE, "alice"),
        discovery_methods=("lan", "dht"),
        routable_networks=(SITE,),
        introducer=True,
        nat_type="cone",
        native=True,
    )

    (told,) = peer_statuses(picture((it, CONNECTED)))

    assert (told.public_key, told.hostname) == (ALICE.raw, "alice")
    assert (told.mesh_ipv4, told.mesh_ipv6) == (str(it.mesh_ipv4), str(it.mesh_ipv6))
    assert (list(told.discovery_methods), list(told.routable_networks)) == (["lan", "dht"], [str(SITE)])
    assert (told.introducer, told.nat_type, told.native) == (True, "cone", True)
    (without_ipv6,) = peer_statuses(picture((replace(it, mesh_ipv6=None), CONNECTED)))
    assert without_ipv6.mesh_ipv6 == ""


def test_a_peer_is_told_with_what_the_device_and_the_probes_have_measured() -> None:
    observed = ObservedPeer(ALICE, NEAR, handshake_at=NOW - 9, rx_bytes=3, tx_bytes=5)
    known = picture((peer(ALICE), CONNECTED), observed=(observed,), paths=(MeasuredPath(ALICE, 0.0125),))

    (told,) = peer_statuses(known)

    assert (told.rx_bytes, told.tx_bytes, told.path) == (3, 5, "direct-lan")
    assert (seconds(told, "handshake_time"), seconds(told, "round_trip_time")) == (NOW - 9, 0.0125)


def test_of_a_peer_that_the_device_does_not_have_nothing_is_measured() -> None:
    (told,) = peer_statuses(picture((peer(ALICE), CONNECTING)))

    assert (told.rx_bytes, told.tx_bytes, told.path) == (0, 0, "none")
    assert [seconds(told, name) for name in ("handshake_time", "round_trip_time", "last_seen_time")] == [None] * 3


def test_the_endpoint_is_the_one_in_use_and_else_the_best_candidate() -> None:
    unreached = peer(ALICE)
    silent = replace(unreached, candidates=())
    on_device, nowhere = ObservedPeer(ALICE, FAR), ObservedPeer(ALICE)

    shown = [
        peer_statuses(picture((it, CONNECTING), observed=observed))[0].endpoint.host
        for it, observed in ((unreached, (on_device,)), (unreached, (nowhere,)), (unreached, ()), (silent, ()))
    ]

    assert shown == [str(FAR.host), str(NEAR.host), str(NEAR.host), ""]


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (CONNECTING, "STATE_CONNECTING"),
        (CONNECTED, "STATE_CONNECTED"),
        (Verdict(Liveness.STALE, NOW - 500, "old"), "STATE_STALE"),
    ],
)
def test_a_peer_that_the_device_refused_is_told_as_refused_whatever_it_was_before(verdict: Verdict, state: str) -> None:
    known = picture((replace(peer(ALICE), direct_seen_at=NOW), verdict))
    refused = replace(known, outcome=ApplyOutcome(peer_failures=(PeerFailure(ALICE, "too many"),)))

    (as_judged,) = peer_statuses(known)
    (told,) = peer_statuses(refused)

    word = node_pb2.PeerStatus.State.Name
    assert (word(as_judged.state), as_judged.reason) == (state, verdict.reason)
    assert (word(told.state), told.reason) == ("STATE_REFUSED", "too many")


@pytest.mark.parametrize(("spoke_at", "seen_at"), [(NOW + 5, NOW + 5), (NOW - 5, NOW), (None, NOW)])
def test_a_peer_was_last_seen_when_it_spoke_or_was_proven_whichever_is_later(
    spoke_at: float | None, seen_at: float
) -> None:
    (told,) = peer_statuses(picture((replace(peer(ALICE), direct_seen_at=spoke_at), CONNECTED)))

    assert seconds(told, "last_seen_time") == seen_at


@pytest.mark.parametrize(
    ("liveness", "by_tunnel", "by_key", "proof"),
    [
        (Liveness.CONNECTED, NOW, NOW + 50, (PROVEN_BY_HANDSHAKE, NOW)),  # a working tunnel is worth more
        (Liveness.STALE, NOW, NOW + 50, (PROVEN_BY_KEY, NOW + 50)),
        (Liveness.STALE, NOW, NOW, (PROVEN_BY_HANDSHAKE, NOW)),
        (Liveness.STALE, NOW, NOW - 50, (PROVEN_BY_HANDSHAKE, NOW)),
        (Liveness.STALE, NOW, None, (PROVEN_BY_HANDSHAKE, NOW)),
        (Liveness.CONNECTING, None, NOW, (PROVEN_BY_KEY, NOW)),
        (Liveness.CONNECTING, None, None, ("", None)),
    ],
)
def test_the_strongest_proof_that_a_peer_holds_its_key_is_told(
    liveness: Liveness, by_tunnel: float | None, by_key: float | None, proof: tuple[str, float | None]
) -> None:
    known = picture((replace(peer(ALICE), possession_at=by_key), Verdict(liveness, by_tunnel)))

    (told,) = peer_statuses(known)

    assert (told.proof, seconds(told, "prove_time")) == proof


def test_a_healthy_node_has_no_warnings() -> None:
    assert list(status(SETTINGS, picture((peer(ALICE), CONNECTED)), "1.2.3", NOW).warnings) == []


def test_whatever_the_operator_should_know_is_a_warning_with_a_stable_code() -> None:
    secret = Secret.parse("wgmesh://v9/wgmesh-status-test-secret")
    later = replace(SETTINGS, secret=secret, unfiltered="no library")
    known = replace(picture(notices=(Notice("clock-skew", "The clock is wrong."),)), problem="no TUN device")

    warnings = status(later, known, "1.2.3", NOW).warnings

    codes = [warning.code for warning in warnings]
    assert codes == ["device-unavailable", "uri-version", "system-calls-not-filtered", "clock-skew"]
    assert (warnings[0].text, warnings[3].text) == ("no TUN device", "The clock is wrong.")
    assert "v1" in warnings[1].text
    assert warnings[2].text.endswith("every system call: no library.")


def test_a_peer_of_another_subnet_is_named_by_its_host_name_or_its_key() -> None:
    others = [PublicKey(bytes([number]) * 32) for number in range(100, 120)]
    known = picture((peer(ALICE, "alice"), CONNECTED), *((peer(key), CONNECTED) for key in others))
    known = replace(known, composition=replace(known.composition, foreign_subnet=frozenset({ALICE, *others})))

    warnings = status(SETTINGS, known, "1.2.3", NOW).warnings

    assert {warning.code for warning in warnings} == {"foreign-subnet"}
    assert [warning.text.split()[0] for warning in warnings] == ["alice", *(key.short for key in sorted(others))]
    assert "--mesh-subnet" in warnings[0].text


def test_a_contested_address_is_told_with_who_keeps_it_and_who_must_move() -> None:
    known = picture((peer(ALICE, "alice"), CONNECTED), (peer(BOB, "bob"), CONNECTED))
    address = OWN_ADDRESSES.ipv4
    contests = (Contest(address, ALICE, (OWN, BOB)), Contest(address, OWN, (BOB,)))
    known = replace(known, composition=replace(known.composition, contests=contests))

    warnings = status(SETTINGS, known, "1.2.3", NOW).warnings

    assert [warning.code for warning in warnings] == ["address-collision"] * 2
    assert [warning.text for warning in warnings] == [
        f"{address} is claimed by alice, which keeps it, and by this node, bob, which must move.",
        f"{address} is claimed by this node, which keeps it, and by bob, which must move.",
    ]


def test_a_name_that_nothing_has_proven_makes_nobody_move_and_is_not_told_by_its_name() -> None:
    unproven = tuple((peer(PublicKey(bytes([number]) * 32), "move now"), CONNECTING) for number in range(40, 60))
    known = picture((peer(ALICE, "alice"), CONNECTED), *unproven)
    names = tuple(each.public_key for each, _ in unproven)
    contests = (Contest(OWN_ADDRESSES.ipv4, OWN, names), Contest(OWN_ADDRESSES.ipv6, ALICE, names[:1]))
    composition = replace(known.composition, contests=contests, foreign_subnet=frozenset(names))

    warnings = status(SETTINGS, replace(known, composition=composition), "1.2.3", NOW).warnings

    assert [warning.code for warning in warnings] == ["address-collision"] * 2  # none of a foreign subnet
    assert all("that nothing has proven. Nothing needs to be done" in warning.text for warning in warnings)
    assert not any("must move" in warning.text or "move now" in warning.text for warning in warnings)


def test_a_peer_that_is_only_a_name_is_told_as_one() -> None:
    nobody = picture((peer(ALICE), CONNECTING))
    spoken = picture((replace(peer(ALICE), direct_seen_at=NOW), CONNECTING))
    by_key = picture((replace(peer(ALICE), possession_at=NOW), CONNECTING))

    assert [peer_statuses(each)[0].reason.startswith(NOT_PROVEN) for each in (nobody, spoken, by_key)] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("selector", [ALICE.text, ALICE.text[:6], "alice", "  alice\n"])
def test_a_peer_is_found_by_its_key_a_beginning_of_it_or_its_name(selector: str) -> None:
    assert select_peer(THREE, selector).public_key == ALICE.raw


def test_a_peer_is_found_by_either_of_its_mesh_addresses() -> None:
    for address in (str(peer(BOB).mesh_ipv4), str(peer(BOB).mesh_ipv6), str(peer(BOB).mesh_ipv6).upper()):
        assert select_peer(THREE, address).public_key == BOB.raw


def test_a_host_name_that_looks_like_the_beginning_of_a_key_means_the_host() -> None:
    named = peer_statuses(picture((peer(ALICE, BOB.text[:6]), CONNECTED), (peer(BOB, "bob"), CONNECTED)))

    assert select_peer(named, BOB.text[:6]).public_key == ALICE.raw


def test_a_host_name_that_is_somebodys_whole_key_does_not_stand_for_that_somebody() -> None:
    named = peer_statuses(picture((peer(ALICE, BOB.text), CONNECTED), (peer(BOB, "bob"), CONNECTED)))

    assert select_peer(named, BOB.text).public_key == BOB.raw


@pytest.mark.parametrize("selector", ["ALICE", "aLiCe", "älice"])
def test_a_peer_is_found_by_its_name_in_any_case(selector: str) -> None:
    assert select_peer(THREE, selector).public_key == ALICE.raw
    assert chosen_for_ban(PICTURE, SETTINGS, selector) == (ALICE, "alice")


def test_of_names_that_differ_in_case_alone_the_very_one_is_meant_and_a_third_spelling_is_not_clear() -> None:
    both = peer_statuses(picture((peer(ALICE, "Web"), CONNECTED), (peer(BOB, "web"), CONNECTED)))

    assert select_peer(both, "Web").public_key == ALICE.raw
    assert select_peer(both, "web").public_key == BOB.raw
    with pytest.raises(PeerNotFound, match="2 peers fit 'WEB'"):
        select_peer(both, "WEB")


def test_the_name_that_is_shown_is_the_one_that_is_announced() -> None:
    renamed = replace(PICTURE, hostname="buro-2")

    assert status(SETTINGS, renamed, "1", 0.0).hostname == "buro-2"
    assert status(SETTINGS, PICTURE, "1", 0.0).hostname == SETTINGS.hostname


def test_a_selector_that_fits_nobody_says_where_all_are_listed() -> None:
    with pytest.raises(PeerNotFound, match="'dave'; `wgmesh peers list`"):
        select_peer(THREE, "dave")


@pytest.mark.parametrize("selector", ["", "  "])
def test_an_empty_selector_is_nobody_not_even_the_only_peer_without_a_name(selector: str) -> None:
    nameless = peer_statuses(picture((replace(peer(ALICE), mesh_ipv6=None), CONNECTED)))

    with pytest.raises(PeerNotFound):
        select_peer(nameless, selector)


def test_a_selector_that_fits_several_shows_some_of_them_to_choose_from() -> None:
    keys = [PublicKey(bytes([1, number]) + bytes(30)) for number in range(SHOWN_CHOICES_MAX + 1)]
    same_name = peer_statuses(picture(*((peer(key, "web"), CONNECTED) for key in keys)))
    same_beginning = peer_statuses(picture(*((peer(key), CONNECTED) for key in keys[:2])))

    with pytest.raises(PeerNotFound, match=f"{len(keys)} peers fit 'web'") as caught:
        select_peer(same_name, "web")
    assert str(caught.value).count("web ") == SHOWN_CHOICES_MAX
    with pytest.raises(PeerNotFound, match=f"2 peers fit .*: \\? {keys[0].text[:12]} {peer(keys[0]).mesh_ipv4}, \\? "):
        select_peer(same_beginning, keys[0].text[:2])


def test_a_ban_by_name_is_for_the_key_that_has_it() -> None:
    assert chosen_for_ban(PICTURE, SETTINGS, " alice ") == (ALICE, "alice")


def test_a_whole_key_can_be_banned_that_nobody_has_met_and_before_anything_is_known() -> None:
    stranger = PublicKey(bytes([99]) * 32)

    assert chosen_for_ban(PICTURE, SETTINGS, stranger.text) == (stranger, "")
    assert chosen_for_ban(None, SETTINGS, stranger.text) == (stranger, "")
    assert chosen_for_ban(PICTURE, SETTINGS, BOB.text) == (BOB, "bob")


@pytest.mark.parametrize("selector", [OWN.text, "self", "SELF", str(OWN_ADDRESSES.ipv4), str(OWN_ADDRESSES.ipv6)])
def test_a_node_cannot_ban_itself(selector: str) -> None:
    with pytest.raises(InvalidInput, match="cannot ban itself"):
        chosen_for_ban(PICTURE, SETTINGS, selector)


def test_a_peer_with_the_name_of_this_node_can_be_banned() -> None:
    namesake = picture((peer(ALICE, "self"), CONNECTED))

    assert chosen_for_ban(namesake, SETTINGS, "self") == (ALICE, "self")


def test_a_ban_for_nobody_is_refused() -> None:
    for known in (PICTURE, None):
        with pytest.raises(PeerNotFound):
            chosen_for_ban(known, SETTINGS, "dave")


def test_a_ban_is_found_by_a_beginning_of_its_key_that_no_other_has() -> None:
    bans = [Ban(ALICE, NOW), Ban(BOB, NOW)]

    assert chosen_ban(bans, f" {BOB.text[:4]}") == BOB
    assert chosen_ban(bans, BOB.text) == BOB


@pytest.mark.parametrize(("selector", "said"), [("zz", "no banned key begins with 'zz'"), ("", "no banned key")])
def test_a_ban_that_is_not_there_is_not_lifted(selector: str, said: str) -> None:
    with pytest.raises(NotFound, match=said):
        chosen_ban([Ban(ALICE, NOW)], selector)


def test_a_beginning_that_two_bans_have_lifts_neither() -> None:
    two = [Ban(PublicKey(bytes([7, number]) + bytes(30)), NOW) for number in (1, 2)]

    with pytest.raises(NotFound, match="2 banned keys begin with"):
        chosen_ban(two, two[0].public_key.text[:2])


def peer(key: PublicKey, hostname: str = "") -> Peer:
    return Peer(
        key,
        derive_ipv4(key, SECRET, KEYS),
        derive_ipv6(key, SECRET, KEYS),
        hostname,
        candidates=(Candidate(NEAR, CandidateSource.LAN, NOW), Candidate(FAR, CandidateSource.ANNOUNCED, NOW)),
    )


def picture(
    *known: tuple[Peer, Verdict],
    device: ObservedDevice | None = DEVICE,
    observed: tuple[ObservedPeer, ...] = (),
    paths: tuple[MeasuredPath, ...] = (),
    report: NatReport = UNANSWERED,
    layers: tuple[DiscoveryLayer, ...] = (),
    notices: tuple[Notice, ...] = (),
    exchange_port: int = 0,
) -> Picture:
    """One finished turn in which these peers were judged so."""
    peers = PeersSnapshot(
        peers=tuple(each for each, _ in known), layers=layers, notices=notices, exchange_port=exchange_port
    )
    return Picture(
        World(
            Identity(OWN), replace(device, peers=observed) if device else None, peers, PathsSnapshot(0, paths, report)
        ),
        Composition(
            addresses=OWN_ADDRESSES,
            device=DesiredDevice((), 51820, 1420),
            proofs=(),
            verdicts={each.public_key: verdict for each, verdict in known},
            contests=(),
            foreign_subnet=frozenset(),
            next_at=None,
        ),
    )


SETTINGS = NodeSettings(
    secret=SECRET,
    keys=KEYS,
    interface="wg7",
    hostname="self",
    state_dir=Path("/nonexistent"),
    listen_port=51820,
    mtu=1420,
)
PICTURE = picture((peer(ALICE, "alice"), CONNECTED), (peer(BOB, "bob"), CONNECTED), (peer(CAROL), CONNECTED))
THREE = peer_statuses(PICTURE)
