from __future__ import annotations

import grpc
import pytest
from wgmesh.core import errors
from wgmesh.runtime.rpc_errors import STATUS_BY_ERROR, status_of


def all_errors(root: type[errors.MeshError] = errors.MeshError) -> list[type[errors.MeshError]]:
    return [root, *(found for child in root.__subclasses__() for found in all_errors(child))]


@pytest.mark.parametrize("error", all_errors())
def test_every_error_has_the_status_of_its_nearest_ancestor_in_the_table(error: type[errors.MeshError]) -> None:
    nearest = next(ancestor for ancestor in error.__mro__ if ancestor in STATUS_BY_ERROR)

    assert status_of(error) is STATUS_BY_ERROR[nearest]


def test_only_what_may_pass_by_itself_is_unavailable_which_clients_retry() -> None:
    retried = {error for error in all_errors() if status_of(error) is grpc.StatusCode.UNAVAILABLE}

    assert retried == {error for error in all_errors() if issubclass(error, errors.NotReady)}


def test_no_branch_of_the_tree_is_left_to_the_root() -> None:
    for branch in errors.MeshError.__subclasses__():
        assert branch in STATUS_BY_ERROR
