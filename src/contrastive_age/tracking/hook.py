"""The MLflow run tree: experiment = protocol, one run a setting, one child run a fold.

A sweep's run is the parent of its settings' runs.

A setting's run is found again by its key, however often `kedro run` is called; a fold's child run
likewise. Values are logged as they are in effect, each λ in a column of its own. Each run names the
process that is at it, so that others can close it when that was killed. Whatever fails here does
not stop the run that is tracked.
"""

import logging
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import mlflow
import pandas as pd
import psutil
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from kedro_mlflow.framework.hooks.utils import _generate_kedro_command
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.tracking.context.registry import resolve_tags

from contrastive_age.files import DAY, fingerprint, remove_unfinished, unfinished
from contrastive_age.parameters.loader import tracking_uri
from contrastive_age.parameters.setting import PRETRAIN, Learning, Pretraining, Setting
from contrastive_age.running.faults import check_database
from contrastive_age.tracking import unique_runs
from contrastive_age.tracking.connection import while_reachable

logger = logging.getLogger(__name__)

PARENT = "mlflow.parentRunId"
PROCESS = "process"
SQLITE = "sqlite:///"
CLOCK_STEP = 60.0
"""Seconds by which the system's clock may have been set since a process began."""
PATIENCE = 5.0
"""Seconds that an interrupted process waits for curves that are under way."""
TRACKED_TAGS = {"training", "evaluation", "reporting"}
FIGURES = {"scatter", "cs_curve", "error_by_age", "losses"}
FACES = {"faces_sheet"}
DOCUMENTS = {"audit", "leakage", "metrics", "card", "card_text", "model_card"}
COMMAND_ARGUMENTS = (
    "tags",
    "node_names",
    "from_nodes",
    "to_nodes",
    "from_inputs",
    "load_versions",
    "pipeline_names",
)

# Curves are sent beside the training, one epoch after the other.
_sender = ThreadPoolExecutor(1)
_under_way: list[Future[None]] = []


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
    run_id = active_run_id()
    if run_id is not None:
        now = int(time.time() * 1000)
        curves = [
            mlflow.entities.Metric(name, float(value), now, epoch)
            for name, value in values.items()
            if name != "epoch"
        ]
        _under_way.append(_sender.submit(_send, run_id, curves))


@while_reachable
def _send(run_id: str, curves: Sequence[mlflow.entities.Metric]) -> None:
    mlflow.MlflowClient().log_batch(run_id, curves)


def _wait_for_curves(seconds: float | None = None) -> None:
    """Wait for the curves that are under way; what has not begun in this time is given up."""
    for late in wait(_under_way, seconds).not_done:
        late.cancel()
    _under_way.clear()


@while_reachable
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
    setting: Learning | None = None
    log_faces = False
    children: dict[str, str]
    catalog: CatalogProtocol[Any, Any]

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Set MLflow up and remember the context."""
        self.context = context
        if self.employer != Employer(None):
            check_database()
            _make_database(tracking_uri(Path(context.project_path)))
            self._set_up(context)

    @while_reachable
    def _set_up(self, context: KedroContext) -> None:
        super().after_context_created(context=context)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Start or re-enter the setting's run; without a node that is tracked, none is made."""
        self.children, self.setting, self.catalog = {}, None, catalog
        if self.employer != Employer(None):
            self._begin(run_params, pipeline, catalog)

    @while_reachable
    def _begin(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        parameters = self.context.config_loader["parameters"]
        protocols = _protocols(pipeline, parameters)
        if len(protocols) != 1:
            disabled = self.mlflow_config.tracking.disable_tracking
            disabled.pipelines = run_params["pipeline_names"] or ["__default__"]
            super().before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)
            return
        (protocol,) = protocols
        self.setting = _setting(protocol, parameters["effective"])
        self.log_faces = may_log_faces(parameters, self.setting)
        enter_experiment(self.context, protocol)
        # Only then does the plugin end the run that is active.
        self._is_mlflow_enabled = not (self.employer and self.employer.run_id)
        if self.employer and self.employer.run_id:
            self.run_id = self.employer.run_id
            return
        Tracking.latest = self
        self.run_id = setting_run(self.context, self.setting.key, resolve_tags())
        _claim(self._client(), self.run_id)
        mlflow.start_run(run_id=self.run_id)
        tags = {name: value for name, value in run_params.items() if value} | {
            "kedro_command": _generate_kedro_command(
                **{name: run_params.get(name) for name in COMMAND_ARGUMENTS}
            ),
            "git_revision": _git_revision(self.context.project_path),
        }
        if self.sweep_id is not None:
            tags[PARENT] = self.sweep_id
        log_setting(self._client(), self.run_id, self.setting, tags)
        self._close_abandoned()
        for source in self.setting.sources:
            try:
                if catalog.exists(f"{source}.audit"):
                    self._tag_manifest(source, catalog.load(f"{source}.audit"))
            except (DatasetError, KeyError, TypeError) as error:
                # Ingestion makes it again, and the tag with it.
                logger.warning("The audit of %s cannot be read: %s", source, error)

    @hook_impl
    @while_reachable
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
    @while_reachable
    def after_node_run(self, node: Node) -> None:
        """Leave the fold's child run."""
        if self.setting is not None and node.namespace:
            _wait_for_curves()
            mlflow.end_run()

    @hook_impl
    @while_reachable
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Mark the fold's child run as failed."""
        if self.setting is not None and node.namespace:
            _wait_for_curves()
            mlflow.set_tag("error", str(error)[:5000])
            mlflow.end_run("FAILED")

    @hook_impl
    @while_reachable
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log what a tracked node has written: metrics, tables and figures."""
        if self.setting is None:
            return
        prefix, _, name = dataset_name.rpartition(".")
        if name == "audit":
            self._tag_manifest(prefix, data)
        if name == "metrics":
            self._client().log_batch(self.run_id, metrics=as_metrics(data))
        if name == "predictions" and prefix in self.children:
            self._client().log_metric(self.children[prefix], "mae", fold_error(data))
        if prefix == self.setting.protocol and name == "predictions":
            self._log_file(dataset_name, "tables")
        if name in DOCUMENTS:
            self._log_file(dataset_name, "tables")
        if name == "age_model":
            self._log_model(dataset_name)
        if name in FIGURES or (name in FACES and self.log_faces):
            self._log_file(dataset_name, "figures")

    @hook_impl
    @while_reachable
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """End the setting's run."""
        super().after_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)

    @hook_impl
    @while_reachable
    def on_pipeline_error(
        self,
        error: Exception,
        run_params: dict[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """End the runs as failed."""
        super().on_pipeline_error(
            error=error, run_params=run_params, pipeline=pipeline, catalog=catalog
        )

    # No property: pluggy looks at every attribute when a hook is registered, before there is one.
    def _client(self) -> mlflow.MlflowClient:
        client: mlflow.MlflowClient = self.mlflow_config.server._mlflow_client
        return client

    def _child(self, namespace: str) -> str:
        """The run of a fold below the setting's run, made at its first node."""
        if namespace not in self.children:
            fold = namespace.rpartition(".")[2]
            self.children[namespace] = fold_run(self.context, self.run_id, fold)
            _claim(self._client(), self.children[namespace])
        return self.children[namespace]

    def _close_abandoned(self, *, with_own: bool = False) -> None:
        """End as `KILLED` the runs of the experiment whose process has ended without a word.

        Only processes of this machine are judged; what others have left is closed from there, or
        when it is run again.

        Args:
            with_own: Whether this process has been interrupted, so that its own runs end, too.
        """
        client, experiment = place_of(self.context)
        for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
            owner = run.data.tags.get(PROCESS, "")
            if has_ended(owner) or (with_own and owner == this_process()):
                client.set_terminated(run.info.run_id, "KILLED")
                logger.info("The run %s is closed: it was killed", run.info.run_name)

    @classmethod
    @while_reachable
    def interrupt(cls) -> None:
        """End as `KILLED` whatever this process and its workers had under way."""
        if cls.latest is None:
            return
        _wait_for_curves(PATIENCE)
        while mlflow.active_run() is not None:
            mlflow.end_run("KILLED")
        cls.latest._close_abandoned(with_own=True)

    def _tag_manifest(self, source: str, audit: Mapping[str, Any]) -> None:
        single = self.setting is not None and len(self.setting.sources) == 1
        name = "manifest_hash" if single else f"manifest_hash_{source}"
        value = audit["manifest_hash"]
        unique_runs.again(lambda: self._client().set_tag(self.run_id, name, value))

    def _log_model(self, dataset_name: str) -> None:
        """Log the final model into the active run, as `mlflow models serve` takes it."""
        from contrastive_age.serving import log_served

        dataset: Any = self.catalog.get(dataset_name)
        with dataset.local_copy() as path:
            logger.info("Serve the model with: mlflow models serve -m %s", log_served(path))

    def _log_file(self, dataset_name: str, folder: str) -> None:
        dataset: Any = self.catalog.get(dataset_name)
        with dataset.local_copy() as path:
            self._client().log_artifact(self.run_id, str(path), folder)


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
        self._ends_as = "FINISHED"
        self.run_id = ""
        self._open(context, protocol, keys, axes)

    @while_reachable
    def _open(
        self, context: KedroContext, protocol: str, keys: Sequence[str], axes: Mapping[str, Any]
    ) -> None:
        enter_experiment(context, protocol)
        self._client, self._experiment = place_of(context)
        name = f"sweep-{fingerprint(sorted(keys))[:8]}"
        self.run_id = self._find_or_make(name, "sweep")
        for axis, values in axes.items():
            text = ", ".join(map(str, values))[:500]
            unique_runs.set_once(self._client, self.run_id, axis, text)

    def __enter__(self) -> "SweepRun":
        """Become the parent of the settings that are run."""
        self._begin()
        Tracking.sweep_id = self.run_id or None
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the run."""
        Tracking.sweep_id = None
        if kind is not None:
            self._ends_as = "FAILED" if issubclass(kind, Exception) else "KILLED"
        self._end()

    @while_reachable
    def _begin(self) -> None:
        _claim(self._client, self.run_id)
        self._client.update_run(self.run_id, status="RUNNING")

    @while_reachable
    def _end(self) -> None:
        self._client.set_terminated(self.run_id, self._ends_as)

    @while_reachable
    def adopt(self, key: str) -> None:
        """Take the run of a setting that is kept, where it is known."""
        identity = {"level": "setting", "setting_key": key}
        run_id = unique_runs.find(self._client, self._experiment, identity)
        if run_id is not None:
            self._client.set_tag(run_id, PARENT, self.run_id)

    @while_reachable
    def log_selection(self, name: str, document: Mapping[str, Any]) -> None:
        """Make or find the child run of what was chosen on validation parts, and log its error."""
        run_id = self._find_or_make(name, "selection")
        self._client.set_tag(run_id, PARENT, self.run_id)
        for own in document["by_fold"]:
            self._client.set_tag(run_id, f"chosen_in_fold_{own['fold']}", own["chosen"])
        self._client.log_metric(run_id, "mae", document["mae"])
        self._client.log_dict(run_id, dict(document), "tables/selection.json")
        self._client.set_terminated(run_id)

    def _find_or_make(self, name: str, level: str) -> str:
        identity = {"level": level, "key": name}
        return _find_or_make(self._client, self._experiment, identity, name)

    def fail(self, keys: Sequence[str]) -> None:
        """Note which settings failed; with any, the run ends as `FAILED`."""
        self._ends_as = "FAILED" if keys else "FINISHED"
        self._note_failed(keys)

    @while_reachable
    def _note_failed(self, keys: Sequence[str]) -> None:
        self._client.set_tag(self.run_id, "failed", ", ".join(keys))


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


def enter_experiment(context: KedroContext, protocol: str) -> None:
    """Let runs be made in the protocol's experiment; drawn faces of the demo have their own.

    Args:
        context: Of a session of the project.
        protocol: Names the experiment.
    """
    config = context.mlflow  # type: ignore[attr-defined]
    demo = context.env == "demo"
    config.tracking.experiment.name = f"{protocol} (demo)" if demo else protocol
    try:
        config._set_experiment()
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
        # Another process made it since the plugin looked.
        config._set_experiment()


def place_of(context: KedroContext) -> tuple[mlflow.MlflowClient, str]:
    """Give the client of the tracking server and the experiment that was entered last."""
    config = context.mlflow  # type: ignore[attr-defined]
    experiment = config.tracking.experiment._experiment.experiment_id
    return config.server._mlflow_client, str(experiment)


def setting_run(context: KedroContext, key: str, tags: Mapping[str, str] | None = None) -> str:
    """Find or make the run of a setting in the experiment that was entered.

    Args:
        context: Of a session of the project.
        key: The setting's key.
        tags: Further tags of a run that is made.
    """
    identity = {"level": "setting", "setting_key": key}
    return _find_or_make(*place_of(context), identity, key, tags)


def fold_run(context: KedroContext, parent: str, fold: str, **values: Any) -> str:
    """Find or make the run of a fold in the experiment that was entered.

    Args:
        context: Of a session of the project.
        parent: The setting's run.
        fold: Its name, as in `fold_3`.
        values: Further arguments of `create_run` where it is made.
    """
    identity = {PARENT: parent, "fold": fold, "level": "fold"}
    return _find_or_make(*place_of(context), identity, fold, **values)


def _find_or_make(
    client: mlflow.MlflowClient,
    experiment: str,
    identity: Mapping[str, str],
    name: str,
    tags: Mapping[str, str] | None = None,
    **values: Any,
) -> str:
    """Find or make a run; one that is made names this process from its first moment."""
    own = {**(tags or {}), PROCESS: this_process()}
    return unique_runs.find_or_make(client, experiment, identity, name, tags=own, **values)


def _claim(client: mlflow.MlflowClient, run_id: str) -> None:
    """Note that this process is at a run, so that others can tell when it was abandoned."""
    unique_runs.again(lambda: client.set_tag(run_id, PROCESS, this_process()))


def log_setting(
    client: mlflow.MlflowClient, run_id: str, setting: Learning, tags: Mapping[str, Any]
) -> None:
    """Log the values of a setting, each λ in a column of its own.

    Args:
        client: Of the tracking server.
        run_id: The setting's run.
        setting: The protocol's effective values.
        tags: Further tags.
    """
    params = [mlflow.entities.Param(k, str(v)) for k, v in setting.columns().items()]
    files = {f"{name}_path": path for name, path in setting.places.items()}
    own = {**tags, **files, "seed": setting.seed}
    as_tags = [mlflow.entities.RunTag(k, str(v)) for k, v in own.items()]
    unique_runs.again(lambda: client.log_batch(run_id, params=params, tags=as_tags))


def may_log_faces(parameters: Mapping[str, Any], setting: Learning) -> bool:
    """Whether the sheet of faces goes to MLflow: drawn ones, or where `log_faces` says so."""
    known = parameters["effective"]["sources"]
    drawn = all(known[source]["synthetic"] is not None for source in setting.sources)
    return bool(drawn if parameters["log_faces"] is None else parameters["log_faces"])


def _protocols(pipeline: Pipeline, parameters: Mapping[str, Any]) -> set[str]:
    """What is trained, evaluated or reported on in the pipeline: protocols, or the pretraining."""
    names = {node.name.split(".")[0] for node in pipeline.nodes if TRACKED_TAGS & set(node.tags)}
    return names & {*parameters["protocols"], PRETRAIN}


def _setting(protocol: str, effective: Mapping[str, Any]) -> Learning:
    """The values of a protocol, or those of the pretraining."""
    if protocol == PRETRAIN:
        return Pretraining.model_validate(effective["pretraining"])
    return Setting.model_validate(effective["protocols"][protocol])


def _git_revision(project: Path) -> str:
    """The revision of the code, `-dirty` where it was changed; `unknown` outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(  # noqa: S603
        command, cwd=project, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "unknown"


def fold_error(predictions: pd.DataFrame) -> float:
    """Give the mean absolute error of a fold's predictions, in years."""
    return float((predictions["predicted_age"] - predictions["age"]).abs().mean())


def as_metrics(document: Mapping[str, Any]) -> list[mlflow.entities.Metric]:
    """The numbers of metrics.json as flat MLflow metrics; what has no value is left out."""
    now = int(time.time() * 1000)
    flat = {key: value for key, value in document.items() if isinstance(value, int | float)}
    sound = document.get("without_leaks")
    if sound and sound["mae"] is not None:
        flat["mae_without_leaks"] = sound["mae"]
    flat |= {f"cs_{years}": share for years, share in document["cs"].items()}
    for name, values in document["age_bins"].items():
        if values["mae"] is not None:
            flat[f"mae_age_{name.replace('+', '_and_over')}"] = values["mae"]
    return [mlflow.entities.Metric(key, float(value), now, 0) for key, value in flat.items()]
