"""The MLflow run tree: experiment = protocol, one run a setting, one child run a fold.

A sweep's run is the parent of its settings' runs.

A setting's run is found again by its key, however often `kedro run` is called; a fold's child run
likewise. Values are logged as they are in effect, each λ in a column of its own.
"""

import logging
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import mlflow
import psutil
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.tracking.context.registry import resolve_tags

from contrastive_age.config import tracking_uri
from contrastive_age.faults import check_database
from contrastive_age.files import DAY, fingerprint, remove_unfinished, unfinished
from contrastive_age.params import Effective

logger = logging.getLogger(__name__)

PARENT = "mlflow.parentRunId"
PROCESS = "process"
SQLITE = "sqlite:///"
CLOCK_STEP = 60.0
"""Seconds by which the system's clock may have been set since a process began."""
TRACKED_TAGS = {"training", "evaluation", "reporting"}
FIGURES = {"scatter", "cs_curve", "error_by_age", "losses"}
FACES = {"faces_sheet"}
DOCUMENTS = {"audit", "leakage", "metrics"}


def this_process() -> str:
    """Name this process, so that others can tell whether it still runs: host, number, start."""
    own = psutil.Process()
    return f"{socket.gethostname()}/{own.pid}/{own.create_time():.0f}"


def has_ended(process: str) -> bool:
    """Whether a process that `this_process` named has ended for certain.

    Args:
        process: A name; of another machine or unknown, it may still run for all that is known here.
    """
    host, number, started = (*process.rsplit("/", 2), "", "")[:3]
    if host != socket.gethostname() or not (number.isdecimal() and started.isdecimal()):
        return False
    try:
        found = psutil.Process(int(number))
        # The number may have been given to another since.
        other = abs(found.create_time() - int(started)) > CLOCK_STEP
        return bool(other or found.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def log_epoch(epoch: int, values: Mapping[str, float]) -> None:
    """Add one epoch to the curves of the active run, if there is one.

    Args:
        epoch: Epochs done, from 1.
        values: The epoch's entry of the history: loss terms, learning rate, seconds.
    """
    if mlflow.active_run() is not None:
        curves = {name: value for name, value in values.items() if name != "epoch"}
        mlflow.log_metrics(curves, step=epoch, synchronous=False)


def tag_run(tags: Mapping[str, Any]) -> None:
    """Tag the active run, if there is one."""
    if mlflow.active_run() is not None:
        mlflow.set_tags(dict(tags))


def active_run_id() -> str | None:
    """The active run, if there is one."""
    run = mlflow.active_run()
    return None if run is None else str(run.info.run_id)


@dataclass(frozen=True)
class Employer:
    """The process that a worker process runs folds for.

    Attributes:
        run_id: The setting's run, which the employer holds open; None where it does not track.
    """

    run_id: str | None


class Tracking(MlflowHook):  # type: ignore[misc]
    """kedro-mlflow's hook, with the run tree above in place of one run a command.

    In a worker process it makes and ends the runs of folds, and leaves the setting's run, whose
    status and tags are the employer's, alone.
    """

    employer: ClassVar[Employer | None] = None
    sweep_id: ClassVar[str | None] = None
    latest: "ClassVar[Tracking | None]" = None
    context: KedroContext
    run_id: str
    setting: Effective | None = None
    log_faces = False
    children: dict[str, str]
    catalog: CatalogProtocol[Any, Any]

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Set MLflow up and remember the context."""
        check_database()
        _make_database(tracking_uri(Path(context.project_path)))
        super().after_context_created(context=context)
        self.context = context

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Start or re-enter the setting's run; without a node that is tracked, none is made."""
        self.children, self.setting, self.catalog = {}, None, catalog
        parameters = self.context.config_loader["parameters"]
        protocols = _protocols(pipeline, parameters)
        tracking = self.mlflow_config.tracking
        if len(protocols) != 1 or self.employer == Employer(None):
            tracking.disable_tracking.pipelines = run_params["pipeline_names"] or ["__default__"]
            super().before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)
            return
        (protocol,) = protocols
        self.setting = Effective.model_validate(parameters["effective"]["protocols"][protocol])
        drawn = parameters["effective"]["sources"][self.setting.source]["synthetic"] is not None
        self.log_faces = drawn if parameters["log_faces"] is None else parameters["log_faces"]
        _enter_experiment(self.context, protocol)
        if self.employer and self.employer.run_id:
            self.run_id = self.employer.run_id
            self._is_mlflow_enabled = False  # so that the plugin ends no run either
            return
        key = self.setting.key
        found = self._find("setting", f"tags.setting_key = '{key}'")
        # Made with the tags by which it is found again: a run that is killed is not doubled.
        tracking.run.id = found or self._make(
            key, resolve_tags({"level": "setting", "setting_key": key})
        )
        tracking.run.name = key
        super().before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)
        Tracking.latest = self
        mlflow.set_tags(
            {
                PROCESS: this_process(),
                "seed": self.setting.seed,
                "git_revision": _git_revision(self.context.project_path),
            }
        )
        if self.sweep_id is not None:
            mlflow.set_tag(PARENT, self.sweep_id)
        mlflow.log_params(self.setting.columns())
        self._close_abandoned()
        audit = f"{self.setting.source}.audit"
        try:
            if catalog.exists(audit):
                self._tag_manifest(catalog.load(audit))
        except (DatasetError, KeyError, TypeError) as error:
            # Ingestion makes it again, and the tag with it.
            logger.warning("The audit of %s cannot be read: %s", self.setting.source, error)

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: CatalogProtocol[Any, Any], is_async: bool
    ) -> None:
        """Enter the fold's child run before a node of its namespace."""
        if self.setting is None:
            return
        if not self.employer:
            # The plugin re-enters the setting's run in this thread; its parameters are logged.
            super().before_node_run(node=node, catalog=catalog, inputs={}, is_async=is_async)
        if node.namespace:
            mlflow.start_run(run_id=self._child(node.namespace), nested=True)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Leave the fold's child run."""
        if self.setting is not None and node.namespace:
            mlflow.flush_async_logging()
            mlflow.end_run()

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Mark the fold's child run as failed."""
        if self.setting is not None and node.namespace:
            mlflow.set_tag("error", str(error)[:5000])
            mlflow.end_run("FAILED")

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log what a tracked node has written: metrics, tables and figures."""
        if self.setting is None:
            return
        prefix, _, name = dataset_name.rpartition(".")
        if name == "audit":
            self._tag_manifest(data)
        if name == "metrics":
            self._client.log_batch(self.run_id, metrics=_as_metrics(data))
        if name == "predictions" and prefix in self.children:
            error = (data["predicted_age"] - data["age"]).abs().mean()
            self._client.log_metric(self.children[prefix], "mae", float(error))
        if prefix == self.setting.protocol and name == "predictions":
            self._log_file(dataset_name, "tables")
        if name in DOCUMENTS:
            self._log_file(dataset_name, "tables")
        if name in FIGURES or (name in FACES and self.log_faces):
            self._log_file(dataset_name, "figures")

    @property
    def _client(self) -> mlflow.MlflowClient:
        client: mlflow.MlflowClient = self.mlflow_config.server._mlflow_client
        return client

    def _find(self, level: str, condition: str) -> str | None:
        return _find(self.mlflow_config, level, condition)

    def _child(self, namespace: str) -> str:
        """The run of a fold below the setting's run, made at its first node."""
        if namespace not in self.children:
            fold = namespace.rpartition(".")[2]
            found = self._find(
                "fold", f"tags.fold = '{fold}' and tags.`mlflow.parentRunId` = '{self.run_id}'"
            )
            tags = {PARENT: self.run_id, "fold": fold, "level": "fold", PROCESS: this_process()}
            self.children[namespace] = found or self._make(fold, tags)
            if found:
                self._client.set_tag(found, PROCESS, this_process())
        return self.children[namespace]

    def _make(self, name: str, tags: Mapping[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags))
        return str(run.info.run_id)

    @property
    def _experiment(self) -> str:
        return str(self.mlflow_config.tracking.experiment._experiment.experiment_id)

    def _close_abandoned(self, *, with_own: bool = False) -> None:
        """End as `KILLED` the runs of the experiment whose process has ended without a word.

        Only processes of this machine are judged; what others have left is closed from there, or
        when it is run again.

        Args:
            with_own: Whether this process has been interrupted, so that its own runs end, too.
        """
        running = self._client.search_runs([self._experiment], "attributes.status = 'RUNNING'")
        for run in running:
            owner = run.data.tags.get(PROCESS, "")
            if has_ended(owner) or (with_own and owner == this_process()):
                self._client.set_terminated(run.info.run_id, "KILLED")
                logger.info("The run %s is closed: it was killed", run.info.run_name)

    @classmethod
    def interrupt(cls) -> None:
        """End as `KILLED` whatever this process and its workers had under way."""
        own = cls.latest
        if own is None:
            return
        try:
            mlflow.flush_async_logging()
            while mlflow.active_run() is not None:
                mlflow.end_run("KILLED")
            own._close_abandoned(with_own=True)
        except Exception as error:  # no server must keep the command from ending
            logger.warning("MLflow could not be told of the interruption: %s", error)

    def _tag_manifest(self, audit: Mapping[str, Any]) -> None:
        self._client.set_tag(self.run_id, "manifest_hash", audit["manifest_hash"])

    def _log_file(self, dataset_name: str, folder: str) -> None:
        dataset: Any = self.catalog.get(dataset_name)
        with dataset.local_copy() as path:
            self._client.log_artifact(self.run_id, str(path), folder)


class SweepRun:
    """The run of a sweep in its protocol's experiment, found again when the sweep is run again.

    As a context it is the parent of every setting that is run within, and ends as `FINISHED`,
    `FAILED` when an error leaves it, or `KILLED` when it is interrupted.
    """

    def __init__(
        self, context: KedroContext, protocol: str, keys: Sequence[str], axes: Mapping[str, Any]
    ) -> None:
        """Find or make the run.

        Args:
            context: Of a session of the project.
            protocol: Names the experiment.
            keys: The settings' keys, which name the sweep.
            axes: What is varied, logged as parameters.
        """
        self._config = context.mlflow  # type: ignore[attr-defined]
        self._client: mlflow.MlflowClient = self._config.server._mlflow_client
        self._ends_as = "FINISHED"
        _enter_experiment(context, protocol)
        name = f"sweep-{fingerprint(sorted(keys))[:8]}"
        found = _find(self._config, "sweep", f"tags.key = '{name}'")
        self.run_id = found or self._make(name, "sweep")
        if found is None:
            for axis, values in axes.items():
                self._client.log_param(self.run_id, axis, ", ".join(map(str, values))[:500])

    def __enter__(self) -> "SweepRun":
        """Become the parent of the settings that are run."""
        self._client.update_run(self.run_id, status="RUNNING")
        self._client.set_tag(self.run_id, PROCESS, this_process())
        Tracking.sweep_id = self.run_id
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the run."""
        Tracking.sweep_id = None
        if kind is not None:
            self._ends_as = "FAILED" if issubclass(kind, Exception) else "KILLED"
        self._client.set_terminated(self.run_id, self._ends_as)

    def adopt(self, key: str) -> None:
        """Take the run of a setting that is kept, where it is known."""
        run_id = _find(self._config, "setting", f"tags.setting_key = '{key}'")
        if run_id is not None:
            self._client.set_tag(run_id, PARENT, self.run_id)

    def log_selection(self, name: str, document: Mapping[str, Any]) -> None:
        """Make or find the child run of what was chosen on validation parts, and log its error."""
        found = _find(self._config, "selection", f"tags.key = '{name}'")
        run_id = found or self._make(name, "selection")
        self._client.set_tag(run_id, PARENT, self.run_id)
        for own in document["by_fold"]:
            self._client.set_tag(run_id, f"chosen_in_fold_{own['fold']}", own["chosen"])
        self._client.log_metric(run_id, "mae", document["mae"])
        self._client.log_dict(run_id, dict(document), "tables/selection.json")
        self._client.set_terminated(run_id)

    def _make(self, name: str, level: str) -> str:
        experiment = self._config.tracking.experiment._experiment.experiment_id
        tags = {"level": level, "key": name, PROCESS: this_process()}
        return str(self._client.create_run(experiment, run_name=name, tags=tags).info.run_id)

    def fail(self, keys: Sequence[str]) -> None:
        """Note which settings failed; with any, the run ends as `FAILED`."""
        self._client.set_tag(self.run_id, "failed", ", ".join(keys))
        self._ends_as = "FAILED" if keys else "FINISHED"


def _make_database(uri: str) -> None:
    """Make an SQLite database that is not there yet, whole or not at all.

    MLflow makes its tables in many steps, and cannot go on from the middle of them.
    """
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE):
        return
    remove_unfinished(path.parent, older_than=DAY)
    if path.exists():
        return
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    beside = unfinished(path)
    try:
        engine = create_sqlalchemy_engine(f"{SQLITE}{beside.absolute().as_posix()}")  # type: ignore[no-untyped-call]
        _initialize_tables(engine)  # type: ignore[no-untyped-call]
        engine.dispose()
        with suppress(FileExistsError):  # another process was faster, and may have written already
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _enter_experiment(context: KedroContext, protocol: str) -> None:
    """Let runs be made in the protocol's experiment; drawn faces of the demo have their own."""
    config = context.mlflow  # type: ignore[attr-defined]
    demo = context.env == "demo"
    config.tracking.experiment.name = f"{protocol} (demo)" if demo else protocol
    config._set_experiment()


def _find(config: Any, level: str, condition: str) -> str | None:
    """The run of this level in the experiment that fulfils a condition, if there is one."""
    experiment = config.tracking.experiment._experiment.experiment_id
    found = config.server._mlflow_client.search_runs(
        [experiment], f"tags.level = '{level}' and {condition}", max_results=1
    )
    return found[0].info.run_id if found else None


def _protocols(pipeline: Pipeline, parameters: Mapping[str, Any]) -> set[str]:
    """The protocols whose training, evaluation or reporting nodes are in the pipeline."""
    names = {node.name.split(".")[0] for node in pipeline.nodes if TRACKED_TAGS & set(node.tags)}
    return names & set(parameters["protocols"])


def _git_revision(project: Path) -> str:
    """The revision of the code, `-dirty` where it was changed; `unknown` outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(  # noqa: S603
        command, cwd=project, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "unknown"


def _as_metrics(document: Mapping[str, Any]) -> list[mlflow.entities.Metric]:
    """The numbers of metrics.json as flat MLflow metrics; what has no value is left out."""
    now = int(time.time() * 1000)
    flat = {key: value for key, value in document.items() if isinstance(value, int | float)}
    flat |= {f"cs_{years}": share for years, share in document["cs"].items()}
    for name, values in document["age_bins"].items():
        if values["mae"] is not None:
            flat[f"mae_age_{name.replace('+', '_and_over')}"] = values["mae"]
    return [mlflow.entities.Metric(key, float(value), now, 0) for key, value in flat.items()]
