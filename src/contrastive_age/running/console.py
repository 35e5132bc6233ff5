"""What a run says: a line for each training, at its end the result, and where to look next."""

import logging
import shlex
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node
from rich.console import Console as Terminal
from rich.table import Table

from contrastive_age.io.files import path_of
from contrastive_age.parameters.written import as_text
from contrastive_age.protocols.namespaces import FINAL, is_fold, parted

logger = logging.getLogger(__name__)

SAID = {
    "metrics": "Metrics and figures     {path.parent}",
    "weights": "Start from the weights  kedro run --pipeline=... --params=model.weights={path}",
    "age_model": "Use the model           kedro predict PHOTO... --model={path}",
    "page": "Open in a browser       {path}",
}
"""What is said of a file that was made: where it lies, or what can be done next with it."""

DEFAULT = "local"
"""The environment of a run that names none."""

VIEW = Path(".viz") / "last_run"
"""In the project: the options of `kedro viz run` that show the last run, for `make viz`."""


class Console:
    """Says how trainings went, prints the table of a run that made metrics, and names places."""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Remember the catalog, which knows the files; nothing is made yet."""
        self._project, self._catalog = Path(run_params["project_path"]), catalog
        self._began = datetime.now(UTC)
        self._made: list[str] = []
        given = {
            "env": run_params["env"] if run_params["env"] != DEFAULT else "",
            "params": as_text(run_params["runtime_params"] or {}),
            "pipeline": "".join((run_params["pipeline_names"] or [])[:1]),
        }
        self._view = shlex.join(f"--{name}={value}" for name, value in given.items() if value)

    @hook_impl
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        """Say in a line how a network was trained, and how it errs where it is tested."""
        name = node.namespace
        if is_fold(name) and (predictions := outputs.get(f"{name}.predictions")) is not None:
            history = self._catalog.load(f"{name}.history")
            logger.info("%s: %s", name, training_line(history, predictions, self._began))
        elif is_fold(name) and parted(name)[1] == FINAL and f"{name}.history" in outputs:
            line = training_line(outputs[f"{name}.history"], None, self._began)
            logger.info("%s: %s", name, line)

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
        if any(name.endswith(".metrics") for name in self._made):
            print_line(f"Compare runs            make mlflow{_page()}")
            print_line(f"See it in Kedro-Viz     kedro viz run {self._view}")
            print_line("All runs on one page    kedro run --pipeline=paper_report")
            self._remember()

    def _remember(self) -> None:
        """Let `make viz` show this run."""
        path = self._project / VIEW
        with suppress(OSError):  # a project that cannot be written is looked at by the line above
            path.parent.mkdir(exist_ok=True)
            path.write_text(self._view + "\n", encoding="utf-8")

    def _place(self, name: str) -> Path:
        """A dataset's file, relative to the project where it lies within."""
        path = path_of(self._catalog, name)
        return path.relative_to(self._project) if path.is_relative_to(self._project) else path


def _page() -> str:
    """Where the settings of the experiment that was entered are compared."""
    from contrastive_age.tracking import views
    from contrastive_age.tracking.tracker import tracker

    return f", {views.link(tracker.experiment_id)}" if tracker.experiment_id else ""


def training_line(
    history: pd.DataFrame, predictions: pd.DataFrame | None, since: datetime | None = None
) -> str:
    """Sum a training up, such as "12 epochs, loss 5.70, MAE 5.04 years, 14 s".

    Args:
        history: `total` and `seconds` an epoch; its `attrs` say when it `ended`.
        predictions: `age` and `predicted_age` in years of whom the network is tested on.
        since: Of a training that ended before, the date is told.
    """
    epochs = len(history)
    words = [f"{epochs} epoch{'s' if epochs > 1 else ''}", f"loss {history['total'].iloc[-1]:.2f}"]
    if predictions is not None:
        error = (predictions["predicted_age"] - predictions["age"]).abs().mean()
        words.append(f"MAE {error:.2f} years")
    words.append(f"{history['seconds'].sum():.0f} s")
    ended = history.attrs.get("ended")
    if ended and since and datetime.fromisoformat(ended) < since.replace(microsecond=0):
        words.append(f"trained on {ended[:10]} already")
    return ", ".join(words)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of strings under its title."""
    table = Table(*columns, title=title, title_justify="left", title_style="bold")
    for row in rows:
        table.add_row(*row)
    Terminal().print(table)


def print_line(text: str) -> None:
    """Print a line as it is, however long."""
    Terminal().print(text, highlight=False, soft_wrap=True, markup=False)
