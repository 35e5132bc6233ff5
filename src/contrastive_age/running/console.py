"""What a run says at its end: the result, and where to look next."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from rich.console import Console as Terminal
from rich.table import Table

from contrastive_age.io.files import path_of

NEXT = {
    "weights": "Start from the weights  kedro run --pipeline=... --params=model.weights={path}",
    "age_model": "Use the model           kedro predict PHOTO... --model={path}",
}
"""What can be done next with a file that was made."""


class Console:
    """Prints the table of a run that made metrics, and where what it made lies."""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Remember the catalog, which knows the files; there is nothing to say yet."""
        self._project, self._catalog = Path(run_params["project_path"]), catalog
        self._metrics: tuple[str, dict[str, Any]] | None = None
        self._leakage: dict[str, Any] = {}
        self._made: list[str] = []

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Keep the leakage report that the metrics are read against."""
        if dataset_name.endswith(".leakage"):
            self._leakage = data

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Keep the metrics, and what there is to go on with."""
        if dataset_name.endswith(".metrics"):
            self._metrics = (dataset_name, data)
        if dataset_name.rpartition(".")[2] in NEXT:
            self._made.append(dataset_name)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Print the table and the places to look at."""
        lines = []
        if self._metrics is not None:
            from contrastive_age.reporting.tables import demo_table

            name, metrics = self._metrics
            Terminal().print()
            Terminal().print(demo_table(metrics, self._leakage))
            lines.append(f"Metrics and figures     {self._place(name).parent}")
        lines += [
            NEXT[name.rpartition(".")[2]].format(path=self._place(name)) for name in self._made
        ]
        if lines:
            lines += ["Compare runs            make mlflow", "See the pipeline        make viz"]
            print_line("\n".join(lines))

    def _place(self, name: str) -> Path:
        """A dataset's file, relative to the project where it lies within."""
        path = path_of(self._catalog, name)
        inside = path.is_relative_to(self._project)
        return path.relative_to(self._project) if inside else path


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of strings under its title."""
    table = Table(*columns, title=title, title_justify="left", title_style="bold")
    for row in rows:
        table.add_row(*row)
    Terminal().print(table)


def print_line(text: str) -> None:
    """Print a line as it is, however long."""
    Terminal().print(text, highlight=False, soft_wrap=True)
