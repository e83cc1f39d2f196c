"""The targets: one module of `fuzz/targets` each.

A target module has `check(data)`, which returns or raises (any exception is a finding), and `seeds()`, inputs to start
from. `WORDS`, where there, are tokens that mutations should know. Its corpus and its old crashes lie in directories of
its name.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
CRASHES = HERE / "crashes"
TARGET_VARIABLE = "WGMESH_FUZZ_TARGET"  # names the target to a process that fuzzes
FOUND = ROOT / "build" / "fuzz"  # what a run leaves: crashes, logs, the corpus as it grew


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that reads bytes from strangers."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...] = ()

    @property
    def corpus(self) -> Path:
        """Inputs that reach different parts of the code; committed."""
        return CORPUS / self.name

    @property
    def crashes(self) -> Path:
        """Inputs that once broke a rule, under names that say which; committed."""
        return CRASHES / self.name


def target_names() -> list[str]:
    return sorted(path.stem for path in (HERE / "targets").glob("*.py"))


def load(name: str) -> Target:
    module = importlib.import_module(f"fuzz.targets.{name}")
    return Target(name, module.check, module.seeds, tuple(getattr(module, "WORDS", ())))


def inputs(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*") if path.is_file())


def file_name(data: bytes) -> str:
    """Equal inputs have equal names, so a corpus has no duplicates."""
    return hashlib.sha256(data).hexdigest()[:16]
