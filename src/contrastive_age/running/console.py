"""What a run says at its end: the result, and where to look next."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from rich.console import Console as Terminal
from rich.table import Table

from contrastive_age.io.files import path_of

SAID = {
    "metrics": "Metrics and figures     {path.parent}",
    "weights": "Start from the weights  kedro run --pipeline=... --params=model.weights={path}",
    "age_model": "Use the model           kedro predict PHOTO... --model={path}",
}
"""What is said of a file that was made: where it lies, or what can be done next with it."""


class Console:
    """Prints the table of a run that made metrics, and where what it made lies."""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Remember the catalog, which knows the files; nothing is made yet."""
        self._project, self._catalog = Path(run_params["project_path"]), catalog
        self._made: list[str] = []

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Keep what there is to say something of."""
        if dataset_name.rpartition(".")[2] in SAID:
            self._made.append(dataset_name)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Print the table and the places to look at."""
        for name in self._made:
            protocol, _, kind = name.rpartition(".")
            if kind == "metrics":
                from contrastive_age.reporting.tables import demo_table

                # The metrics are read against the leakage report.
                read = (self._catalog.load(each) for each in (name, f"{protocol}.leakage"))
                Terminal().print("", demo_table(*read))
            print_line(SAID[kind].format(path=self._place(name)))
        if self._made:
            print_line("Compare runs            make mlflow")
            print_line("See the pipeline        make viz")

    def _place(self, name: str) -> Path:
        """A dataset's file, relative to the project where it lies within."""
        path = path_of(self._catalog, name)
        return path.relative_to(self._project) if path.is_relative_to(self._project) else path


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of strings under its title."""
    table = Table(*columns, title=title, title_justify="left", title_style="bold")
    for row in rows:
        table.add_row(*row)
    Terminal().print(table)


def print_line(text: str) -> None:
    """Print a line as it is, however long."""
    Terminal().print(text, highlight=False, soft_wrap=True, markup=False)
