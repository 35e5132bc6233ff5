"""Commands that need no project begin before Kedro has loaded one."""

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from conftest import ROOT
from contrastive_age import start
from contrastive_age.cli import cli
from contrastive_age.inference.model_file import save_model
from contrastive_age.processes import leave_when_interrupted
from inference.models import untrained_model

SLOW = {"kedro_mlflow", "matplotlib", "mlflow", "scipy", "sklearn"}
SLOW |= {"skimage", "tensorflow", "torchvision"}

CALL = f"""
import sys
from contrastive_age.start import at_once
try:
    at_once()
finally:
    print("loaded:", *({SLOW} & sys.modules.keys()))
"""


@pytest.fixture(autouse=True)
def _interrupts_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    # Who starts the tests behind a terminal may have it ignored, also by what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_control_c_before_a_command_begins_is_one_line(tmp_path: Path) -> None:
    call = "import os, signal; from contrastive_age.start import at_once; at_once(); "
    for command, status in (("run", 130), ("other", -signal.SIGINT)):
        done = subprocess.run(
            [sys.executable, "-c", call + "os.kill(os.getpid(), signal.SIGINT)", command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status
        assert ("Traceback" in done.stderr) == (command == "other")
        assert ("Interrupted; nothing was done yet" in done.stderr) == (command == "run")


def test_a_command_that_has_begun_is_interrupted_as_usual() -> None:
    leave_when_interrupted()
    CliRunner().invoke(cli, ["predict", "none.jpg", "--model=none.pt"])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_kedro_calls_it_first_of_all() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    (place,) = declared["kedro.init"].values()
    assert EntryPoint("any", place, "kedro.init").load() is start.at_once


@pytest.mark.parametrize("arguments", [[], ["run"], ["sweep", "predict"], ["--help"]])
def test_other_commands_are_left_to_kedro(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["kedro", *arguments])
    start.at_once()


def test_another_project_keeps_its_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = '[tool.kedro]\npackage_name = "other"\nproject_name = "Other"\n'
    (tmp_path / "pyproject.toml").write_text(f'{described}kedro_init_version = "1.7.0"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kedro", "predict"])
    start.at_once()


@pytest.mark.parametrize("command", sorted(start.OF_A_PROJECT))
def test_outside_of_any_project_it_is_said_where_to_stand(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kedro", command])
    with pytest.raises(SystemExit, match="is in no project: stand in the folder") as ended:
        start.at_once()
    assert str(ROOT) in str(ended.value)
    assert "\n" not in str(ended.value)


@pytest.mark.parametrize(("folder", "own"), [("tests", False), (".", False), ("tests", True)])
def test_a_command_logs_in_all_folders_of_the_project_alike(
    folder: str, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(start, "configure_logging", told.append)
    monkeypatch.setattr(sys, "argv", ["kedro", "run"])
    monkeypatch.setenv(start.LOGGING, "mine.yml" if own else "")
    monkeypatch.chdir(ROOT / folder)
    start.at_once()
    # In its root Kedro finds it, and what a user names wins.
    expected = [] if own or folder == "." else [str(ROOT / "conf" / "logging.yml")]
    assert [config["loggers"]["kedro_mlflow"]["level"] for config in told] == len(told) * [
        "WARNING"
    ]
    assert len(told) == len(expected)
    assert os.environ[start.LOGGING] == (expected or ["mine.yml" if own else ""])[0]


def test_all_commands_are_known_to_need_a_project_or_none() -> None:
    assert set(cli.commands) == start.COMMANDS | start.OF_A_PROJECT


def test_an_age_is_estimated_in_any_folder_without_what_takes_long_to_load(tmp_path: Path) -> None:
    save_model(untrained_model(), tmp_path / "age_model.pt")
    Image.new("RGB", (256, 256), "grey").save(tmp_path / "face.png")
    arguments = ["predict", "--aligned", "face.png", "--model=age_model.pt"]
    done = subprocess.run(
        [sys.executable, "-c", CALL, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "1 face in 1 photo" in done.stdout
    assert done.stdout.splitlines()[-1].strip() == "loaded:"
