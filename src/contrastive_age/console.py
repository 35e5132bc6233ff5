"""What a run says at its end: the result, and where to look next."""

from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol


class Console:
    """Prints the table of a run that made metrics."""

    def __init__(self) -> None:
        """Start with nothing to say."""
        self._metrics: tuple[str, dict[str, Any]] | None = None
        self._leakage: dict[str, Any] = {}

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Remember the catalog, which knows the files."""
        self._project = Path(run_params["project_path"])
        self._catalog = catalog

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Keep the leakage report that the metrics are read against."""
        if dataset_name.endswith(".leakage"):
            self._leakage = data

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Keep the metrics."""
        if dataset_name.endswith(".metrics"):
            self._metrics = (dataset_name, data)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Print the table and the places to look at."""
        if self._metrics is None:
            return
        from rich.console import Console as Terminal

        from contrastive_age.reporting.tables import demo_table

        name, metrics = self._metrics
        self._metrics = None
        dataset: Any = self._catalog.get(name)
        folder = Path(str(dataset._filepath)).parent
        if folder.is_relative_to(self._project):
            folder = folder.relative_to(self._project)
        terminal = Terminal()
        terminal.print()
        terminal.print(demo_table(metrics, self._leakage))
        terminal.print(f"Metrics and figures   {folder}", highlight=False, soft_wrap=True)
        terminal.print("Compare runs          make mlflow", highlight=False)
        terminal.print("See the pipeline      make viz", highlight=False)
