"""Commands that need no Kedro project start before Kedro loads one.

Loading a project imports its plugins, MLflow among them, which takes longer than estimating an age.
Kedro calls `at_once` before that (the entry point `kedro.init`), wherever `kedro` is called.
"""

import sys
import tomllib
from pathlib import Path

from kedro.utils import find_kedro_project

COMMANDS = {"app", "export-onnx", "predict"}
"""They read photos and a model's file."""


def at_once() -> None:
    """Run the command that was called and end the process, where it is one of `COMMANDS`.

    Another Kedro project in the working directory may have commands of these names.
    """
    if sys.argv[1:2] and sys.argv[1] in COMMANDS and not _is_elsewhere():
        from contrastive_age.cli import cli

        cli(prog_name="kedro")


def _is_elsewhere() -> bool:
    root = find_kedro_project(Path.cwd())
    if root is None:
        return False
    described = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return bool(described["tool"]["kedro"]["package_name"] != __package__)
