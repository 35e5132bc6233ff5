"""The project's commands: Kedro's own `run`, with several folds at once where that is asked for.

Errors that a user can mend are said in one line.
"""

from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from contrastive_age.errors import DataError, TrainingError

RUNNER = "contrastive_age.runners.FoldRunner"


@click.group(name="contrastive-age")
def cli() -> None:
    """Commands of this project."""


class Run(click.Command):
    """`kedro run` that ends a mistake in data or parameters with its message, not a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and turn the errors that name their remedy into the command's last words."""
        ctx.params["runner"] = ctx.params["runner"] or RUNNER
        try:
            return super().invoke(ctx)
        except (DataError, TrainingError) as error:
            raise click.ClickException(str(error)) from error


cli.add_command(
    Run(
        name="run",
        callback=kedro_run.callback,
        params=kedro_run.params,
        help=kedro_run.help,
        short_help="Run a pipeline.",
    )
)
