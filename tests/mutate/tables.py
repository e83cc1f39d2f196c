"""Mutants of what stands outside functions: rules, transitions and special cases that are kept as tables.

mutmut switches between versions of a function in a module that is imported once; a table is made by the import. So each
mutant is imported by a process of its own, from memory.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import unified_diff
from pathlib import Path
from types import CodeType, ModuleType

import hypothesis.stateful  # noqa: F401 - imported here once, not again in the process of each mutant
import libcst as cst
import pytest
from mutate.catalogue import TABLE
from mutate.operators import row

FOUND = Path("tables.json")
_COLLECTIONS = (cst.Dict, cst.Set, cst.List, cst.Tuple, cst.DictComp)
_WITHIN_S = 60.0  # a table does not make code loop; this is for a busy machine


@dataclass(slots=True)
class TableMutant:
    """One version of the module, and what became of it in mutmut's words."""

    diff: str
    status: str = "not checked"
    function: str = TABLE


def judge(module: str, tests: Sequence[str]) -> None:
    """Judges the mutants that are not judged yet, and writes down each verdict at once."""
    source = Path("src/wgmesh", f"{module}.py").read_text()
    versions = list(mutated(source))
    found = stored() or [TableMutant(_diff(source, version)) for version in versions]
    for mutant, version in zip(found, versions, strict=True):
        if mutant.status == "not checked":
            mutant.status = _status(module, version, tests)
            FOUND.write_text(json.dumps([asdict(each) for each in found]))


def stored() -> list[TableMutant]:
    return [TableMutant(**each) for each in json.loads(FOUND.read_text())] if FOUND.is_file() else []


def mutated(source: str) -> Iterator[str]:
    """The versions of a module in which one table has lost a row or says another word in one place."""
    tree = cst.parse_module(source)
    nodes = _Tables()
    tree.visit(nodes)
    words: dict[str, list[str]] = {}
    for word in nodes.words:
        members = words.setdefault(_owner(word), [])
        if word.attr.value not in members:
            members.append(word.attr.value)
    for node in nodes.all:
        for changed in _changes(node, words):
            version = tree.deep_replace(node, changed)
            assert isinstance(version, cst.Module)
            yield version.code


def _changes(node: cst.CSTNode, words: dict[str, list[str]]) -> Iterable[cst.CSTNode]:
    if isinstance(node, cst.Dict | cst.Set | cst.List | cst.Tuple):
        yield from row(node)
    elif isinstance(node, cst.Attribute) and _is_word(node):
        members = words[_owner(node)]
        other = members[(members.index(node.attr.value) + 1) % len(members)]
        if other != node.attr.value:
            yield node.with_changes(attr=cst.Name(other))
    elif isinstance(node, cst.Name) and node.value in ("True", "False"):
        yield node.with_changes(value=str(node.value == "False"))


class _Tables(cst.CSTVisitor):
    """Finds what a table consists of, outside functions and annotations."""

    def __init__(self) -> None:
        self.all: list[cst.CSTNode] = []
        self.words: list[cst.Attribute] = []
        self._depth = 0  # of collections around

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(
            node, cst.FunctionDef | cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom | cst.Lambda
        ):
            return False
        if self._depth or isinstance(node, _COLLECTIONS):
            self.all.append(node)
            if isinstance(node, cst.Attribute) and _is_word(node):
                self.words.append(node)
        self._depth += isinstance(node, _COLLECTIONS)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._depth -= isinstance(original_node, _COLLECTIONS)


def _is_word(node: cst.Attribute) -> bool:
    """Whether it is a member of an enumeration, such as `State.RUNNING`."""
    return _owner(node)[:1].isupper() and node.attr.value.isupper()


def _owner(node: cst.Attribute) -> str:
    return node.value.value if isinstance(node.value, cst.Name) else ""


def _diff(before: str, after: str) -> str:
    return "\n".join(unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm=""))


def _status(module: str, version: str, tests: Sequence[str]) -> str:
    process = multiprocessing.get_context("fork").Process(target=_test, args=(module, version, tests))
    process.start()
    process.join(_WITHIN_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        return "timeout"
    return "survived" if process.exitcode == 0 else "killed"


def _test(module: str, version: str, tests: Sequence[str]) -> None:
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    sys.path.insert(0, str(Path("src").resolve()))
    sys.meta_path.insert(0, _FromMemory(f"wgmesh.{module.replace('/', '.')}", version))
    sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "mutate.hypothesis_profile", *tests]))


class _FromMemory(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports one module from a text."""

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == self._name else None

    def get_source(self, fullname: str) -> str:
        return self._source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, f"<mutant of {fullname}>", "exec", dont_inherit=True)
