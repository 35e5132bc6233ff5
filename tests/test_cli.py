"""Commands end with a sentence, not with a stack trace."""

import json
import signal
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from kedro.io import DatasetError

from conftest import Project, make_project
from contrastive_age.cli import Friendly, GivenPath, cli
from contrastive_age.drawn import synthetic
from contrastive_age.errors import DataError


def _end_with(error: BaseException) -> Result:
    def fail() -> None:
        raise error

    return CliRunner().invoke(Friendly("run", callback=fail))


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the command sets for signals, which is not to stay set for the other tests."""
    found: list[object] = []
    monkeypatch.setattr(signal, "signal", lambda *values: found.append(values))
    return found


def test_what_a_user_can_mend_is_one_line() -> None:
    done = _end_with(DataError("The folder x is missing; make it"))
    assert done.exit_code == 1
    assert done.output == "Error: The folder x is missing; make it\n"


def test_a_file_that_cannot_be_loaded_is_named_with_the_remedy() -> None:
    done = _end_with(DatasetError("Failed while loading data from dataset Table(x).\nEnds early"))
    assert done.exit_code == 1
    assert done.output.startswith("Error: Failed while loading data from dataset Table(x). Ends")
    assert "Run all of the pipeline" in done.output
    assert done.output.count("\n") == 1


def test_control_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, handlers: list[object]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/kedro", "run", "--params=a=1,b=x y"])
    done = _end_with(KeyboardInterrupt())
    assert done.exit_code == 130
    said = done.output.strip()
    assert said.endswith("Go on with: kedro run '--params=a=1,b=x y'")
    assert "\n" not in said
    assert (signal.SIGINT, signal.SIG_IGN) in handlers


def test_programming_errors_keep_their_stack() -> None:
    assert isinstance(_end_with(ZeroDivisionError()).exception, ZeroDivisionError)


def paths(command: click.Command) -> list[click.Parameter]:
    """The options and arguments of a command that take a path."""
    return [each for each in command.params if isinstance(each.type, click.Path)]


def test_every_path_of_every_command_is_read_in_one_way() -> None:
    assert {name for name, command in cli.commands.items() if paths(command)} == {
        *("app", "compare", "export-onnx", "manifest", "pack", "predict", "run"),
        "save-mlflow-model",
    }
    for command in cli.commands.values():
        assert all(isinstance(each.type, GivenPath) for each in paths(command))


def test_the_home_folder_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for command in cli.commands.values():
        for each in paths(command):
            unchecked = GivenPath()
            assert unchecked.convert("~/a", each, None) == Path("/home/me/a")
            assert unchecked.convert("a", each, None) == Path("a")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export-onnx", "--output=~nobody-of-that-name/m.onnx"], "is nobody's home here"),
        (["export-onnx", "--output=s3://bucket/m.onnx"], "is an address"),
        (["run", "--conf-source=~nobody-of-that-name/conf"], "is nobody's home here"),
        (["run", "--params=raw_root=/photos/a,b"], "a path with a comma goes into"),
        (["sweep", "--params=raw_root=/photos/a,b=c"], "a path with a comma goes into"),
        (["run", "--runner=NoSuchRunner"], "there is no such runner"),
        (["run", "--runner=no.such.Runner"], "there is no such runner"),
    ],
)
def test_a_command_line_that_cannot_be_right_is_one_line(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert said in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        *(["sweep", "--set", "seed=0"], ["upload-runs"], ["relocate-runs"]),
        ["compare", "-p", "a", "--name=b", f"--predictions={__file__}"],
        ["pack", "-p", "a", "-o", "b"],
    ],
)
def test_where_there_is_no_project_it_is_said_where_to_stand(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1
    assert done.output == f"Error: {tmp_path} is in no project: stand in the project's folder\n"


def test_commands_work_in_a_folder_of_a_project_below_odd_signs(tmp_path: Path) -> None:
    project = make_project(tmp_path / "50%20off #1")
    synthetic.draw("fgnet", project.root / "007" / "FG-NET", identities=2, images=4, seed=0)
    below = project.root / "my notes"
    below.mkdir()
    given = "--params=raw_root=007,sources.fgnet.synthetic=null"
    Project(below).kedro("run", "--pipelines=fgnet_se", "--tags=ingestion", given)
    audit = json.loads(project.one("02_intermediate/fgnet/audit.json").read_text())
    assert audit["n"] == 4
    done = Project(below).kedro("sweep", "-p", "fgnet_se", "--set", "seed=7", "--dry-run", given)
    assert "settings: 1, runs: 1" in done.said
    assert (project.root / "mlflow.db").is_file()
    assert not list(below.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == [project.root.name]
