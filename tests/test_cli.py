"""Commands end with a sentence, not with a stack trace."""

import signal
import sys

import pytest
from click.testing import CliRunner, Result
from kedro.io import DatasetError

from contrastive_age.cli import Friendly
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
