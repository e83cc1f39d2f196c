"""What a node and the command line leave unloaded, and that it is there when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

PRELUDE = "import sys; from wgmesh.runtime.deferred_imports import defer, defer_unused; "


def output_of(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + script], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


LOADED = "print([name for name in {names!r} if name in sys.modules and sys.modules[name].__class__ is type(sys)])"
NEEDLESS = (
    *("ssl", "calendar", "google.protobuf.text_format", "multiprocessing", "unittest", "statistics"),
    *("google.protobuf.descriptor_pb2", "opentelemetry.sdk", "rich"),
)


@pytest.mark.parametrize("importing", ["wgmesh.supervisor.assembly", "wgmesh.client.node"])
def test_what_nobody_uses_is_not_loaded(importing: str) -> None:
    assert output_of(f"defer_unused(); import {importing}; " + LOADED.format(names=NEEDLESS)) == "[]"


def test_a_deferred_module_is_there_when_somebody_asks() -> None:
    script = (
        "defer('ssl'); import ssl; before = type(ssl).__name__; version = ssl.OPENSSL_VERSION_INFO[0] > 0;"
        "from ssl import SSLContext; print(before, type(ssl).__name__, version, SSLContext is ssl.SSLContext)"
    )

    assert output_of(script) == "_Deferred module True True"


def test_a_deferred_module_of_a_package_is_found_there() -> None:
    script = "defer('email.utils'); import email.utils; print(email.utils.quote('a\"b'))"

    assert output_of(script) == 'a\\"b'


def test_a_deferred_module_still_says_which_names_it_lacks() -> None:
    script = "defer('ssl'); import ssl\ntry:\n    ssl.nothing\nexcept AttributeError as error:\n    print(error)"

    assert output_of(script) == "module 'ssl' has no attribute 'nothing'"


def test_what_is_loaded_already_is_left_alone() -> None:
    assert output_of("import ssl; one = ssl; defer('ssl'); print(sys.modules['ssl'] is one, type(ssl).__name__)") == (
        "True module"
    )


def test_a_module_that_does_not_exist_stays_missing() -> None:
    script = "defer('wgmesh_missing')\ntry:\n    import wgmesh_missing\nexcept ImportError as error:\n    print(error)"

    assert output_of(script) == "No module named 'wgmesh_missing'"
