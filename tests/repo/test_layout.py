"""Habits of the tree that no linter checks."""

from __future__ import annotations

import ast
import importlib
import pkgutil

from support.repository import NAMESPACE_FOLDERS, ROOT, files, relative
from wgmesh.core import errors
from wgmesh.runtime import rpc_errors

MODULE_LINES_MAX = 500
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "misc"}


def test_no_namespace_folder_is_made_a_package() -> None:
    strays = [folder / "__init__.py" for folder in NAMESPACE_FOLDERS if (folder / "__init__.py").exists()]
    assert strays == [], "one such file hides the packages of the other two folders"
    assert [relative(path) for path in files("tests/**/__init__.py")] == []


def test_every_package_says_what_it_owns() -> None:
    silent = []
    for path in files("*/wgmesh/*/__init__.py"):
        if "v1" in path.parts:
            continue
        body = ast.parse(path.read_text()).body
        if not (len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)):
            silent.append(relative(path))
    assert silent == []


def test_modules_stay_readable_in_one_sitting() -> None:
    long = {
        relative(path): lines
        for path in files("*.py")
        if "_pb2" not in path.name and (lines := path.read_text().count("\n")) > MODULE_LINES_MAX
    }
    assert long == {}


def test_no_name_hides_what_is_inside() -> None:
    vague = [relative(path) for path in files("*") if VAGUE_NAMES & {path.stem, *path.relative_to(ROOT).parts[:-1]}]
    assert vague == []


def test_every_error_reaches_a_caller_as_itself() -> None:
    for folder in NAMESPACE_FOLDERS[1:]:
        for found in pkgutil.iter_modules([str(folder)]):
            importlib.import_module(f"wgmesh.{found.name}")

    def family(root: type[errors.MeshError]) -> set[type[errors.MeshError]]:
        return {root}.union(*(family(child) for child in root.__subclasses__()))

    # Direct children of the root are the kinds that a caller tells apart; each needs a row of its own.
    kinds = {errors.MeshError, *errors.MeshError.__subclasses__()}
    assert kinds <= rpc_errors.STATUS_BY_ERROR.keys()
    assert all(rpc_errors.status_of(kind) is not None for kind in family(errors.MeshError))


def test_the_lock_file_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert all(line.startswith(("    ", "#")) or "==" in line for line in lock.splitlines() if line)
