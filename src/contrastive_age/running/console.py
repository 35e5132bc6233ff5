"""What a run says: a line for each training, at its end the result, and where to look next."""

import logging
import shlex
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from mlflow import get_tracking_uri

from contrastive_age.errors import DataError
from contrastive_age.io.files import path_of
from contrastive_age.parameters.asked import Asked
from contrastive_age.parameters.loader import ProjectConfigLoader, project_parameters
from contrastive_age.parameters.written import as_text
from contrastive_age.paths import sqlite_uri
from contrastive_age.protocols.namespaces import is_fold, parted
from contrastive_age.running.inputs import learnings
from contrastive_age.running.printing import print_line, terminal
from contrastive_age.tracking.tracker import tracker

logger = logging.getLogger(__name__)

SAID = {
    "metrics": "Metrics and figures     {path.parent}",
    "weights": "Start from the weights  kedro run --pipeline=... --params=model.weights={path}",
    "age_model": (
        "Ages in photos          kedro predict PHOTO... --model={path}\n"
        "The same on a page      kedro app --model={path}\n"
        "For other runtimes      kedro export-onnx --model={path}"
    ),
    "page": "Open in a browser       {path}",
}
"""What is said of a file that was made: where it lies, or what can be done next with it."""


class Console:
    """Says how trainings went, prints the table of a run that made metrics, and names places.

    Of each run of a sweep it says a line; the sweep has a table of all.
    """

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Remember the catalog, which knows the files; nothing is made yet."""
        self._project, self._catalog = Path(run_params["project_path"]), catalog
        self._made: list[str] = []
        self._trainings = Trainings(pipeline, catalog)
        self._env = [f"--env={run_params['env']}"] if run_params["env"] else []
        if not (tracker.is_worker or tracker.is_sweep):
            say_local(pipeline)
        params = as_text(run_params["runtime_params"] or {})
        self._view = None  # where no options give these parameters again
        if params is not None:
            self._view = [*self._env, *([f"--params={params}"] if params else [])]

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Name the node where an error is shown with its stack trace."""
        error.add_note(f"In the node {node.name}")

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Say how a training went, and keep what there is to say at the end."""
        owner, kind = parted(dataset_name)
        if dataset_name == self._trainings.last.get(owner) and not tracker.is_worker:
            self._trainings.done(owner)
        if kind in SAID:
            self._made.append(dataset_name)

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Print the table and the places to look at, when all else is done."""
        for name in self._made:
            protocol, _, kind = name.rpartition(".")
            if kind != "metrics":
                print_line(SAID[kind].format(path=self._place(name)))
                if kind == "age_model":
                    print_line(f"Serve it over HTTP      {self._serving(name)}")
                for caution in self._cautions(name) if kind == "age_model" else []:
                    print_line(f"  {caution}")
                continue
            metrics, leakage = (self._catalog.load(each) for each in (name, f"{protocol}.leakage"))
            if tracker.is_sweep:
                logger.info("%s: MAE %.2f years", metrics["key"], metrics["mae"])
                continue
            from contrastive_age.reporting.papers import Papers
            from contrastive_age.reporting.tables import demo_table
            from contrastive_age.tracking import views

            papers = Papers(project_parameters()["effective"]["papers"])
            terminal().print("", demo_table(metrics, leakage, papers=papers))
            print_line(SAID[kind].format(path=self._place(name)))
            report = shlex.join([*self._env, "--pipeline=paper_report"])
            print_line(f"Compare runs            {views.place(self._project)}")
            if self._view is not None:
                view = shlex.join([*self._view, f"--pipeline={protocol}"])
                print_line(f"See it in Kedro-Viz     make viz, or kedro viz run {view}")
            print_line(f"All runs on one page    kedro run {report}")

    def _serving(self, name: str) -> str:
        """The command that serves a final model, or, where none was logged, makes what is served.

        MLflow's commands know nothing of the project's own database.
        """
        if tracker.lost is not None or tracker.served is None:
            return f"kedro save-mlflow-model --model={self._place(name)} --output=served"
        from contrastive_age.serving import serve_command

        own = get_tracking_uri() == sqlite_uri(self._project / "mlflow.db")
        where = "MLFLOW_TRACKING_URI=sqlite:///mlflow.db " if own else ""
        return where + serve_command(tracker.served)

    def _cautions(self, name: str) -> list[str]:
        from contrastive_age.inference.cards import cautions

        return cautions(self._catalog.load(name).facts)

    def _place(self, name: str) -> Path:
        """A dataset's file, relative to the project where it lies within."""
        path = path_of(self._catalog, name)
        return path.relative_to(self._project) if path.is_relative_to(self._project) else path


def say_local(pipeline: Pipeline) -> None:
    """Say what `conf/local` sets for the protocols of a pipeline: it changes runs out of sight."""
    loader = ProjectConfigLoader.latest
    if loader is None or not loader.local_files:
        return
    asked, settings = Asked.of(loader), learnings(loader["parameters"], pipeline)
    if names := sorted({name for each in settings for name in asked.local(each)}):
        files = ", ".join(map(str, loader.local_files))
        verb = "sets" if len(loader.local_files) == 1 else "set"
        logger.info("%s %s %s", files, verb, ", ".join(names))


class Trainings:
    """The trainings of a run, of each of which a line is said when it is done.

    Attributes:
        last: What is written last of each of them: predictions, or where nobody is tested the
            history.
    """

    def __init__(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Say nothing yet.

        Args:
            pipeline: What is run.
            catalog: Where it is written.
        """
        self.last: dict[str, str] = {}
        self._catalog, self._began, self._done = catalog, datetime.now(UTC), 0
        for kind in ("history", "predictions"):
            for made in pipeline.all_outputs():
                owner, last = parted(made)
                if last == kind and is_fold(owner):
                    self.last[owner] = made

    def done(self, name: str) -> None:
        """Say in a line how a network was trained, and how it errs where it is tested."""
        if name not in self.last:
            return
        self._done += 1
        # Without its history a network is tested all the same.
        with suppress(DatasetError, DataError):
            history = self._catalog.load(f"{name}.history")
            tested = self.last[name].endswith(".predictions")
            predictions = self._catalog.load(self.last[name]) if tested else None
            number = f" ({self._done} of {len(self.last)})" if len(self.last) > 1 else ""
            line = training_line(history, predictions, self._began)
            logger.info("%s%s: %s", name, number, line)


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
    words = ["not trained"]
    if epochs:
        loss = history["total"].iloc[-1]
        words = [f"{epochs} epoch{'s' if epochs > 1 else ''}", f"loss {loss:.2f}"]
    if predictions is not None:
        error = (predictions["predicted_age"] - predictions["age"]).abs().mean()
        words.append(f"MAE {error:.2f} years")
    words.append(f"{history['seconds'].sum():.0f} s")
    ended = history.attrs.get("ended")
    if since and not ended:  # an earlier version did not say when
        words.append("kept")
    elif since and ended and datetime.fromisoformat(ended) < since.replace(microsecond=0):
        words.append(f"kept from {ended[:10]}")
    return ", ".join(words)
