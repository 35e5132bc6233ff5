"""Commands that need no Kedro project start before Kedro loads one.

Loading a project imports its plugins, MLflow among them, which takes longer than estimating an age.
Kedro calls `at_once` before that (the entry point `kedro.init`), wherever `kedro` is called.
"""

import sys

COMMANDS = {"app", "export-onnx", "predict"}
"""They read photos and a model's file."""


def at_once() -> None:
    """Run the command that was called and end the process, where it is one of `COMMANDS`."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        from contrastive_age.cli import cli

        cli(prog_name="kedro")
