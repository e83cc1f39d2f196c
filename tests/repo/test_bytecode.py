"""What the benchmark says of the program that it measures: whether Python finds it compiled."""

from __future__ import annotations

import compileall
import os
import py_compile
from pathlib import Path

import pytest
from bench.bytecode import is_compiled


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "module.py"
    source.write_text("VALUE = 1\n")
    return source


def test_a_module_is_compiled_once_its_bytecode_lies_beside_it(source: Path) -> None:
    assert not is_compiled(source)

    assert compileall.compile_file(source, quiet=1)

    assert is_compiled(source)


@pytest.mark.parametrize("text", ["VALUE = 2\n", "VALUE = 1000\n"])
def test_a_module_that_was_changed_since_counts_as_not_compiled(source: Path, text: str) -> None:
    assert compileall.compile_file(source, quiet=1)
    compiled_at = source.stat().st_mtime

    source.write_text(text)
    if len(text) == len("VALUE = 1\n"):  # only its time tells
        os.utime(source, (compiled_at + 2, compiled_at + 2))
    else:  # only its size tells
        os.utime(source, (compiled_at, compiled_at))

    assert not is_compiled(source)


def test_bytecode_that_python_checks_by_a_hash_is_not_what_a_start_should_find(source: Path) -> None:
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)

    assert not is_compiled(source)
