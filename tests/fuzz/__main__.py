"""Fuzzes every target: `make fuzz`, or `PYTHONPATH=tests .venv/bin/python -m fuzz --seconds 60`.

Exits with 1 if a rule was broken, and says how to see it again. What is found lies in build/fuzz.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz.catalogue import FOUND, ROOT, TARGET_VARIABLE, Target, file_name, inputs, load, target_names

SECONDS = 600
INPUT_BYTES_MAX = 8192  # longer ones are slow and find nothing that a bound does not cover
SLOW_S = 10  # one input that takes longer is a finding: a stranger could stop us with it
MEMORY_MB = 1024  # so is one that needs this much
KEPT_BYTES_MAX = 48 * 1024  # of corpus a target, so that all together stay below 1 MB
KEPT_FILES_MAX = 150


def main() -> int:
    arguments = _arguments()
    if arguments.reproduce:
        name, path = arguments.reproduce
        load(name).check(Path(path).read_bytes())
        print("no rule is broken")
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed, so nothing can be fuzzed; `make setup` installs it", file=sys.stderr)
        return 2
    targets = [load(name) for name in arguments.targets or target_names()]
    share_s = max(1, arguments.seconds * arguments.jobs // len(targets))
    with ThreadPoolExecutor(arguments.jobs) as pool:
        broken = [
            target
            for target, is_sound in zip(targets, pool.map(lambda each: _fuzz(each, share_s), targets), strict=True)
            if not is_sound
        ]
    if arguments.keep:
        for target in targets:
            _keep(target)
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(target_names())}; all by default")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for all targets together (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    parser.add_argument("--keep", action="store_true", help="put what was found worth keeping into tests/fuzz/corpus")
    parser.add_argument("--reproduce", nargs=2, metavar=("TARGET", "FILE"), help="run one input without atheris")
    return parser.parse_args()


def _fuzz(target: Target, span_s: int) -> bool:
    """Fuzzes one target. False if a rule was broken, or the process ended in another way than by time."""
    grown = FOUND / "corpus" / target.name
    found = FOUND / "crashes" / target.name
    for directory in (grown, found, target.corpus):
        directory.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (grown / file_name(seed)).write_bytes(seed)
    words = FOUND / f"{target.name}.dict"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words or (b"{", b"}")))
    began_at = time.time()
    log = FOUND / f"{target.name}.log"
    options = {
        "max_total_time": span_s,
        "max_len": INPUT_BYTES_MAX,
        "timeout": SLOW_S,
        "rss_limit_mb": MEMORY_MB,
        "artifact_prefix": f"{found}/",
        "dict": words,
    }
    with log.open("wb") as output:
        ended = _libfuzzer(target, options, [grown, target.corpus, target.crashes], output.fileno())
    crashes = [path for path in inputs(found) if path.stat().st_mtime >= began_at]
    for path in crashes:
        print(f"{target.name}: a rule is broken by {path.relative_to(ROOT)}. See it again:")
        print(f"  PYTHONPATH=tests {sys.executable} -m fuzz --reproduce {target.name} {path.relative_to(ROOT)}")
    if ended == 0 and not crashes:
        print(f"{target.name}: sound after {_runs(log)} inputs in {span_s} s", flush=True)
        return True
    if not crashes:
        print(f"{target.name}: ended with {ended}, see {log.relative_to(ROOT)}", flush=True)
    return False


def _libfuzzer(target: Target, options: dict[str, object], directories: list[Path], output: int) -> int:
    command = [sys.executable, "-m", "fuzz.process"]
    command += [f"-{name}={value}" for name, value in options.items()]
    command += [str(directory) for directory in directories if directory.is_dir()]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        TARGET_VARIABLE: target.name,
    }
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False).returncode


def _keep(target: Target) -> None:
    """Replaces the committed corpus by the smallest inputs that reach everything that any input has reached."""
    merged = FOUND / "merged" / target.name
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    with (FOUND / f"{target.name}.merge.log").open("wb") as output:
        options: dict[str, object] = {"merge": 1, "max_len": INPUT_BYTES_MAX, "rss_limit_mb": MEMORY_MB}
        _libfuzzer(target, options, [merged, target.corpus, FOUND / "corpus" / target.name], output.fileno())
    chosen: dict[str, bytes] = {}
    for data in sorted((path.read_bytes() for path in inputs(merged)), key=len):
        if len(chosen) < KEPT_FILES_MAX and sum(map(len, chosen.values())) + len(data) <= KEPT_BYTES_MAX:
            chosen[file_name(data)] = data
    if not chosen:
        print(f"{target.name}: the merge failed, its corpus stays as it was", file=sys.stderr)
        return
    for path in inputs(target.corpus):
        path.unlink()
    for name, data in chosen.items():
        (target.corpus / name).write_bytes(data)


def _escaped(word: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word)


def _runs(log: Path) -> str:
    """How many inputs libFuzzer says it has tried."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("Done ")]
    return lines[-1].split()[1] if lines else "an unknown number of"


if __name__ == "__main__":
    sys.exit(main())
