"""What is done before Kedro loads a project: commands that need none, or lack theirs.

Loading a project imports its plugins, MLflow among them, which takes longer than estimating an age.
Kedro calls `at_once` before that (the entry point `kedro.init`), wherever `kedro` is called.
"""

import logging
import os
import sys
import tomllib
from pathlib import Path

import yaml
from kedro.framework.project import configure_logging
from kedro.utils import find_kedro_project

from contrastive_age.processes import interrupt_as_usual, leave_when_interrupted

COMMANDS = {"app", "export-onnx", "manifest", "predict"}
"""They need no project: of one, some look into its configuration, for the folders of its data."""

OF_A_PROJECT = {
    "compare",
    "pack",
    "relocate-runs",
    "run",
    "save-mlflow-model",
    "show-runs",
    "sweep",
    "upload-runs",
}
"""Kedro knows them in a project only, and elsewhere says that there are no such commands."""

LOGGING = "KEDRO_LOGGING_CONFIG"
"""The variable by which Kedro is told of a configuration of logging, as are its processes."""


def at_once() -> None:
    """Run the command that was called and end the process, where it is one of `COMMANDS`.

    Another Kedro project in the working directory may have commands of these names. Where there is
    no project, those that need one end with the words where to stand.
    """
    command = "".join(sys.argv[1:2])
    if command in COMMANDS | OF_A_PROJECT:
        leave_when_interrupted()
    root = find_kedro_project(Path.cwd())
    if command in OF_A_PROJECT and root is None:
        own = find_kedro_project(Path(__file__).parent)
        such_as = f", such as {own}" if own else ""
        sys.exit(
            f"Error: {Path.cwd()} is in no project: stand in the folder of the project{such_as}, "
            f"or in one below it, and type kedro {command} there"
        )
    if root and _is_another(root):
        interrupt_as_usual()
        return
    if root:
        # What libraries warn of goes to the log: `conf/logging.yml` says what of it is shown.
        logging.captureWarnings(True)
        _log_as_in(root)
    if command in COMMANDS:
        from contrastive_age.cli import cli

        cli(prog_name="kedro")


def _log_as_in(root: Path) -> None:
    """Log as the project says, where one stands in a folder of it: Kedro looks for it there."""
    path = root / "conf" / "logging.yml"
    if Path.cwd() != root and not os.environ.get(LOGGING) and path.is_file():
        os.environ[LOGGING] = str(path)
        configure_logging(yaml.safe_load(path.read_text(encoding="utf-8")))


def _is_another(root: Path) -> bool:
    described = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return bool(described["tool"]["kedro"]["package_name"] != __package__)
