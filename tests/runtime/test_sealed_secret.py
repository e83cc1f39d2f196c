from __future__ import annotations

import os

import pytest
from wgmesh.core.keys.secret import Secret
from wgmesh.runtime import memory_file
from wgmesh.runtime.sealed_secret import SealedSecret


@pytest.mark.parametrize("version", [None, "v1", "v9", "", "v\udcff"])
@pytest.mark.parametrize("text", ["sixteen bytes of text", "line one\nand line two", "not UTF-8: \udcff\udcfe 0123456"])
def test_what_is_taken_is_what_was_put(text: str, version: str | None) -> None:
    taken = SealedSecret.of(Secret(text, version)).take()

    assert taken == Secret(text)
    assert taken.uri_version == version


def test_nobody_changes_it_once_it_is_sealed() -> None:
    descriptor = memory_file.create()
    SealedSecret(descriptor).put(Secret("sixteen bytes of text"))

    for change in (lambda: os.pwrite(descriptor, b"x", 0), lambda: os.truncate(descriptor, 0)):
        with pytest.raises(PermissionError):
            change()
    os.close(descriptor)


def test_it_is_its_owners_alone_and_no_program_that_is_started_has_it() -> None:
    descriptor = memory_file.create()

    assert os.fstat(descriptor).st_mode & 0o777 == 0o600
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_it_is_taken_again_by_every_process_that_has_the_descriptor() -> None:
    first = memory_file.create()
    SealedSecret(first).put(Secret("sixteen bytes of text"))
    second = os.dup(first)  # with the same offset, as after a fork

    assert SealedSecret(first).take() == SealedSecret(second).take() == Secret("sixteen bytes of text")
