"""What lies in the state directory when root starts a node: whose it is, and what is done with it."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest
from support.interpreters import STRANGER, public_interpreter
from support.supervised import Supervised
from wgmesh.core.errors import InvalidSetting
from wgmesh.supervisor.io import state
from wgmesh.supervisor.io.privileges import account_of, group_id, user_id
from wgmesh.supervisor.settings import CONTROL_GROUP, IDENTITIES, SHARED_USER, STATE_GROUP

pytestmark = pytest.mark.root  # only root can give files away

WIREGUARD, DISCOVERY = (account_of(IDENTITIES[name]).uid for name in ("wireguard", "discovery"))
EARLIER = user_id(SHARED_USER)
MESH = "0123456789abcdef"
KEPT_BY_DISCOVERY = ("toy0-peers.json", "toy0-banned.json", f"toy0-{MESH}-dht.nodes", f"toy0-{MESH}-private-dht.json")


@pytest.fixture
def base(base: Path) -> Path:
    """With a state directory in it."""
    (base / "state").mkdir(mode=0o755)
    return base


def put(path: Path, owner: int, mode: int = 0o600) -> None:
    path.write_text("{}")
    path.chmod(mode)
    os.chown(path, owner, owner)


def started(base: Path) -> Supervised:
    return Supervised(base, interpreter=[public_interpreter()])


def sentence_of(node: Supervised) -> str:
    (sentence,) = [line for line in node.text if line.startswith("wgmesh:")]
    return sentence


def test_the_private_key_goes_to_the_wireguard_user_and_all_else_to_discovery(base: Path) -> None:
    for name in ("toy0.json", "toy0-other.json", *KEPT_BY_DISCOVERY):
        put(base / "state" / name, 0)

    with started(base) as node:
        node.wait_until_ready()

    owners = {path.name: path.stat().st_uid for path in (base / "state").iterdir()}
    assert owners == {
        "toy0.json": WIREGUARD,
        "toy0-other.json": 0,  # the private key of an interface toy0-other
        **dict.fromkeys(KEPT_BY_DISCOVERY, DISCOVERY),
    }
    assert (base / "state/toy0.json").stat().st_mode & 0o777 == 0o600


def test_the_state_of_an_earlier_version_is_taken_over(base: Path) -> None:
    put(base / "state/toy0.json", WIREGUARD)
    for name in KEPT_BY_DISCOVERY:
        put(base / "state" / name, EARLIER)
    os.chown(base / "state", 0, EARLIER)
    (base / "state").chmod(0o1770)

    with started(base) as node:
        node.wait_until_ready()

    owners = {path.name: path.stat().st_uid for path in (base / "state").iterdir()}
    assert owners == {"toy0.json": WIREGUARD, **dict.fromkeys(KEPT_BY_DISCOVERY, DISCOVERY)}
    assert node.events("file left alone") == []


@pytest.mark.attack("another user of the machine", "have his own private key taken over by root's start")
@pytest.mark.parametrize("owner", [DISCOVERY, EARLIER, STRANGER])
def test_a_private_key_that_another_user_has_put_there_is_refused_and_left_as_it_is(base: Path, owner: int) -> None:
    put(base / "state/toy0.json", owner)

    with started(base) as node:
        assert node.exit_code() == 5

    assert f"The private key {base}/state/toy0.json belongs to user {owner}" in sentence_of(node)
    assert (base / "state/toy0.json").stat().st_uid == owner
    assert node.events("child started") == []


@pytest.mark.attack("another user of the machine", "have his own list of banned peers taken over")
@pytest.mark.parametrize("owner", [WIREGUARD, STRANGER])
def test_a_deny_list_that_another_user_has_put_there_is_refused(base: Path, owner: int) -> None:
    put(base / "state/toy0-banned.json", owner)

    with started(base) as node:
        assert node.exit_code() == 5

    assert f"belongs to user {owner}" in sentence_of(node)
    assert (base / "state/toy0-banned.json").stat().st_uid == owner


@pytest.mark.parametrize("name", ["toy0-peers.json", f"toy0-{MESH}-dht.nodes", f"toy0-{MESH}-private-dht.json"])
def test_a_cache_that_another_user_has_put_there_is_left_alone_and_said(base: Path, name: str) -> None:
    put(base / "state" / name, STRANGER)

    with started(base) as node:
        node.wait_until_ready()

    (line,) = node.events("file left alone")
    assert (line["path"], line["reason"]) == (str(base / "state" / name), f"belongs to user {STRANGER}")
    assert (base / "state" / name).stat().st_uid == STRANGER


def test_the_reload_file_and_foreign_files_are_left_alone_and_the_processes_are_separated(base: Path) -> None:
    put(base / "state/toy0.reload", 0, 0o644)
    put(base / "state/notes.txt", STRANGER, 0o640)

    with started(base) as node:
        node.wait_until_ready()

    (line,) = node.events("foreign files left alone")
    assert (line["path"], line["count"], line["names"]) == (str(base / "state"), 1, "notes.txt")
    status = (base / "state/notes.txt").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (STRANGER, 0o640)
    assert node.events("children share user 0") == node.events("privileges not separated") == []
    assert marks(base / "state") == (0, group_id(STATE_GROUP), 0o1771)


def test_a_directory_that_has_become_ours_stays_it_whatever_is_put_into_it(base: Path) -> None:
    state.claim(base / "state")
    (base / "state/backup").mkdir()

    state.claim(base / "state")

    assert marks(base / "state") == (0, group_id(STATE_GROUP), 0o1771)


def test_a_directory_with_things_of_others_is_refused_and_keeps_owner_and_mode(base: Path) -> None:
    (base / "state/photographs").mkdir()
    (base / "state").chmod(0o750)

    with started(base) as node:
        assert node.exit_code() == 1

    assert f"{base}/state holds directories or links of others (photographs)" in sentence_of(node)
    assert marks(base / "state") == (0, 0, 0o750)


def test_a_directory_of_a_user_and_one_for_everybody_are_refused_and_keep_owner_and_mode(base: Path) -> None:
    os.chown(base / "state", STRANGER, STRANGER)
    with pytest.raises(InvalidSetting, match=f"belongs to user {STRANGER}"):
        state.claim(base / "state")
    assert marks(base / "state") == (STRANGER, STRANGER, 0o755)

    os.chown(base / "state", 0, 0)
    (base / "state").chmod(0o1777)
    with pytest.raises(InvalidSetting, match="everybody's files"):
        state.claim(base / "state")
    assert marks(base / "state") == (0, 0, 0o1777)


@pytest.mark.parametrize("place", ["/etc", "/root", "/"])
def test_directories_of_the_system_are_refused_and_keep_owner_and_mode(place: str) -> None:
    before = marks(Path(place))

    with pytest.raises(InvalidSetting, match="Name a directory for wgmesh alone"):
        state.claim(Path(place))

    assert marks(Path(place)) == before


def test_a_home_directory_is_everybody_elses_but_that_of_our_own_users() -> None:
    users = [
        pwd.struct_passwd(("alice", "x", STRANGER, STRANGER, "", "/srv/alice", "")),
        pwd.struct_passwd(("wgmesh-wg", "x", WIREGUARD, WIREGUARD, "", "/var/lib/mesh", "")),
    ]

    assert state.homes(users, {WIREGUARD, DISCOVERY}) == {Path("/srv/alice")}


def test_the_home_directory_of_root_is_refused_as_one() -> None:
    root = Path(pwd.getpwuid(0).pw_dir)

    with pytest.raises(InvalidSetting, match="is a home directory"):
        state.claim(root)


def test_a_state_volume_with_lost_and_found_is_no_obstacle(base: Path) -> None:
    (base / "state/lost+found").mkdir(mode=0o700)

    state.claim(base / "state")

    assert marks(base / "state") == (0, group_id(STATE_GROUP), 0o1771)


def test_a_member_of_the_control_group_can_put_nothing_into_the_state_directory(base: Path) -> None:
    state.claim(base / "state")

    assert os.stat(base / "state").st_gid != group_id(CONTROL_GROUP)
    assert not os.stat(base / "state").st_mode & stat.S_IWOTH


def marks(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)
