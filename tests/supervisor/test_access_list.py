from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.supervisor import access_list
from wgmesh.supervisor.access_list import ENTRY, GROUP, GROUP_OBJ, HEADER, MASK, NO_ID, OTHER, USER, USER_OBJ

UID, GID = 65372, 65371

modes = st.integers(0, 0o777)
permissions = st.integers(0, 7)
others = st.lists(
    st.tuples(st.sampled_from((USER, GROUP)), permissions, st.integers(0, 60000)), unique_by=lambda e: (e[0], e[2])
)


@given(modes, permissions)
def test_a_list_of_ours_gives_the_user_his_part_and_nobody_else_more(mode: int, granted: int) -> None:
    entries = entries_of(access_list.extended(mode, UID, granted, GID))

    assert entries[(USER, UID)] == granted
    assert entries[(GROUP, GID)] == entries[(OTHER, NO_ID)] == mode & 7
    assert (entries[(USER_OBJ, NO_ID)], entries[(GROUP_OBJ, NO_ID)]) == (mode >> 6, mode >> 3 & 7)
    # the mask limits users and groups, and must take nothing from any of them
    assert entries[(MASK, NO_ID)] & (granted | mode >> 3 & 7 | mode & 7) == granted | mode >> 3 & 7 | mode & 7


@given(modes, permissions)
def test_taken_back_it_is_the_mode_of_before_and_nothing_else(mode: int, granted: int) -> None:
    left = entries_of(access_list.reduced(access_list.extended(mode, UID, granted, GID), UID, GID))

    assert left == {(USER_OBJ, NO_ID): mode >> 6, (GROUP_OBJ, NO_ID): mode >> 3 & 7, (OTHER, NO_ID): mode & 7}


@given(modes, permissions, others)
def test_entries_of_others_stay_with_the_mask_that_they_need(
    mode: int, granted: int, added: list[tuple[int, int, int]]
) -> None:
    ours = access_list.extended(mode, UID, granted, GID)

    left = entries_of(access_list.reduced(ours + b"".join(ENTRY.pack(*entry) for entry in added), UID, GID))

    assert {(tag, name): rights for tag, rights, name in added}.items() <= left.items()
    assert ((MASK, NO_ID) in left) is bool(added)


def test_only_a_list_with_user_and_mark_is_ours() -> None:
    ours = access_list.extended(0o600, UID, 6, GID)

    assert access_list.is_ours(ours, UID, GID)
    assert not access_list.is_ours(ours, UID, GID + 1)
    assert not access_list.is_ours(ours, UID + 1, GID)


def entries_of(data: bytes) -> dict[tuple[int, int], int]:
    return {(tag, name): rights for tag, rights, name in ENTRY.iter_unpack(data[HEADER.size :])}
