from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from wgmesh.cli.credentials import SecretSources, find_secret
from wgmesh.core.errors import InvalidSecret, InvalidSetting

STRONG = "9LZJPbVha7yPdFmIB4tup5DApcyKvjrvjb_TXB4JrFs"
OTHER = "QvT0mV5sX1nWc8yRz2kLd7uHq4eJg9bAf3iPo6tCx1M"


def test_the_order_is_flag_environment_file_system(tmp_path: Path) -> None:
    files = {name: secret_file(tmp_path / name, f"{STRONG}{name}") for name in ("flag", "env", "config", "system")}
    everything: dict[str, Any] = {
        "file_flag": str(files["flag"]),
        "environ": {"WGMESH_SECRET": f"{STRONG}variable", "WGMESH_SECRET_FILE": str(files["env"])},
        "configured_file": str(files["config"]),
        "system_file": files["system"],
    }
    found = []

    found.append(find_secret(sources(**everything)).secret.reveal())
    everything["file_flag"] = None
    found.append(find_secret(sources(**everything)).secret.reveal())
    everything["environ"] = {"WGMESH_SECRET": "", "WGMESH_SECRET_FILE": str(files["env"])}
    found.append(find_secret(sources(**everything)).secret.reveal())
    everything["environ"] = {}
    found.append(find_secret(sources(**everything)).secret.reveal())
    everything["configured_file"] = None
    found.append(find_secret(sources(**everything)).secret.reveal())

    assert [text.removeprefix(STRONG) for text in found] == ["flag", "variable", "env", "config", "system"]


def test_a_dash_reads_standard_input_and_warns_of_nothing() -> None:
    found = find_secret(sources(flag="-", read_input=lambda: f"wgmesh://v1/{STRONG}\n"))

    assert found.secret.reveal() == STRONG
    assert found.warnings == ()


def test_no_secret_anywhere_says_how_to_give_one() -> None:
    with pytest.raises(InvalidSetting, match=r"--secret: no secret was given; use --secret-file"):
        find_secret(sources())


def test_two_flags_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="not both"):
        find_secret(sources(flag=STRONG, file_flag=str(tmp_path / "x")))


def test_a_secret_on_the_command_line_is_warned_of() -> None:
    (warning,) = find_secret(sources(flag=STRONG)).warnings

    assert "can be seen by every user" in warning


def test_a_guessable_secret_is_warned_of_and_used() -> None:
    found = find_secret(sources(environ={"WGMESH_SECRET": "correct horse battery"}))

    assert any("easy to guess" in warning for warning in found.warnings)
    assert found.secret.reveal() == "correct horse battery"


def test_an_unknown_uri_version_is_warned_of() -> None:
    found = find_secret(sources(environ={"WGMESH_SECRET": f"wgmesh://v9/{STRONG}"}))

    assert any("not of version v1" in warning for warning in found.warnings)


def test_a_secret_that_is_too_short_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidSecret) as raised:
        find_secret(sources(environ={"WGMESH_SECRET": "hunter2"}))

    assert "16" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "open", STRONG)
    path.chmod(0o644)

    (warning,) = find_secret(sources(file_flag=str(path))).warnings

    assert f"chmod 600 {path}" in warning


@pytest.mark.parametrize("kind", ["absent", "directory", "huge"])
def test_a_file_that_is_no_secret_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "directory":
        path.mkdir()
    if kind == "huge":
        path.write_bytes(b"x" * (64 * 1024 + 1))

    with pytest.raises(InvalidSetting, match=f"--secret-file: .*{kind}"):
        find_secret(sources(file_flag=str(path)))


def test_a_file_need_not_be_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b"\xff" * 20)
    path.chmod(0o600)

    assert find_secret(sources(file_flag=str(path))).secret.reveal_bytes() == b"\xff" * 20


def secret_file(path: Path, text: str) -> Path:
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return path


def sources(**given: Any) -> SecretSources:
    defaults: dict[str, Any] = {
        "environ": {},
        "read_input": lambda: pytest.fail("standard input was read"),
        "system_file": Path("/nonexistent/secret"),
    }
    return SecretSources(**{**defaults, **given})


def test_a_missing_secret_names_every_place_that_was_looked_at(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting) as caught:
        find_secret(SecretSources({}, read_input=str, system_file=tmp_path / "system-secret"))

    for place in ("--secret,", "--secret-file,", "WGMESH_SECRET,", "WGMESH_SECRET_FILE,", "--config", "system-secret"):
        assert place in str(caught.value)
