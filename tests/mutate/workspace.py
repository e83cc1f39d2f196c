"""The copy of the tree in which one module is mutated. The tree itself is only read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mutate.catalogue import JUDGES, ROOT, WORK

_ROOTS = ("proto", "services", "clients")
# Rings that judge no module here; some of them are large, and none is needed to import the others.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "bench", "corpus", "crashes", "kernel", "lab", "mutate", "repo")
# mypy sees each mutant as one more method beside the real one, so an attribute is declared many times.
_TYPES = (
    *("--strict", "--namespace-packages", "--explicit-package-bases", "--follow-imports=silent"),
    *("--disable-error-code=no-redef", "--no-warn-unused-ignores"),
)
_STOP_WITHIN_S = 20.0  # the worker in progress is ended, and what is known is written


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder of `build/mutate`, kept from one run to the next while nothing that matters has changed."""

    module: str

    @property
    def folder(self) -> Path:
        return WORK / self.module.replace("/", "-")

    @property
    def mutated(self) -> Path:
        """What the tests import: before the installed program, which PYTHONPATH beats."""
        return self.folder / "mutants" / "src"

    @property
    def log(self) -> Path:
        return self.folder / "run.log"

    def prepare(self) -> None:
        """Makes the copy, unless it is there and is still one of the tree."""
        state, stamp = self._state_of_tree(), self.folder / "state"
        if stamp.is_file() and stamp.read_text() == state:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        for root in _ROOTS:  # mutmut knows one root only; the parts of the namespace do not overlap
            shutil.copytree(
                ROOT / root / "wgmesh", self.folder / "src" / "wgmesh", ignore=_LEFT_OUT, dirs_exist_ok=True
            )
        shutil.copytree(ROOT / "tests", self.folder / "tests", ignore=_LEFT_OUT)
        settings = (ROOT / "pyproject.toml").read_text() + self._settings()
        (self.folder / "pyproject.toml").write_text(settings)
        self.mutated.mkdir(parents=True)  # Python never looks again into a folder that it once found missing
        stamp.write_text(state)

    def run(self, span_s: float) -> None:
        """Judges the mutants that are not judged yet. Raises RuntimeError if mutmut could not work."""
        with self.log.open("wb") as output:
            process = self._engine("run", stdout=output)
            try:
                ended = process.wait(span_s)
            except subprocess.TimeoutExpired:
                ended = 0
            finally:
                _end(process)
        if ended:
            raise RuntimeError(f"mutmut ended with {ended}, see {self.log.relative_to(ROOT)}")

    def results(self) -> list[dict[str, str]]:
        """All mutants with what became of them, as `mutate.engine` tells them; none before the first run."""
        process = self._engine("report", stdout=subprocess.PIPE)
        output, _ = process.communicate()
        return list(json.loads(output)) if process.returncode == 0 else []

    def _engine(self, command: str, stdout: IO[bytes] | int) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join((str(self.mutated), str(ROOT / "tests"))),
            "MYPYPATH": "src",
            "PYTHONHASHSEED": "0",  # a test that depends on the order of a set must judge each mutant alike
        }
        return subprocess.Popen(
            [sys.executable, "-m", "mutate.engine", self.module, command],
            cwd=self.folder,
            env=environment,
            stdout=stdout,
            stderr=subprocess.STDOUT if command == "run" else None,
            start_new_session=True,
        )

    def _settings(self) -> str:
        check = [sys.executable, "-m", "mypy", "--config-file=", f"--cache-dir={WORK / 'types'}", *_TYPES]
        values = {
            "source_paths": ["src"],
            "only_mutate": [f"src/wgmesh/{self.module}.py"],
            "pytest_add_cli_args_test_selection": list(JUDGES[self.module]),
            "pytest_add_cli_args": ["-p", "mutate.hypothesis_profile", "-p", "no:cacheprovider"],
            "type_check_command": [*check, "--output=json", f"src/wgmesh/{self.module}.py"],
            "use_git_change_detection": False,
            # A mutant that loops is given five times what its tests take, and two seconds for a busy machine.
            "timeout_multiplier": 5.0,
            "timeout_constant": 2.0,
        }
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        return f"\n[tool.mutmut]\n{lines}"

    def _state_of_tree(self) -> str:
        """Changes with every file that can change a verdict."""
        digest = hashlib.sha256()
        paths = [ROOT / name for name in ("pyproject.toml", "requirements.lock", "tests/conftest.py")]
        paths += [ROOT / judge for judge in JUDGES[self.module]]
        for folder in (*_ROOTS, "tests/support", "tests/mutate"):
            paths += sorted((ROOT / folder).rglob("*.py"))
        for path in paths:
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
        return digest.hexdigest()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends mutmut and its worker; a first wish lets it write what it knows."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_WITHIN_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
