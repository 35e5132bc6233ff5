"""What goes to MLflow of a result: read from its files, and sent as far as the server lacks it.

A run that has just written them and `kedro upload-runs` log by the same functions, so a second time
changes nothing. Which files these are is said in the catalog, under `metadata`, `mlflow`:

- `tables`, `figures`: it is laid into the folder of this name of the setting's run; a Parquet table
  as CSV, which MLflow's pages show;
- `faces`: a figure that shows faces, which goes there where they are drawn or `log_faces` says so;
- `model`: the final model, which is logged ready to be served;
- `fold`: a fold's curves or its error are read from it.

The numbers of `metrics.json` are the run's metrics, too.
"""

import logging
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
from kedro.framework.context import KedroContext
from kedro.io import CatalogProtocol, DatasetError
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE
from pydantic import ValidationError

from contrastive_age.evaluation.metrics import signed_errors
from contrastive_age.io.atomic import Table
from contrastive_age.io.files import OneFile
from contrastive_age.parameters.asked import Asked
from contrastive_age.parameters.loader import ProjectConfigLoader
from contrastive_age.parameters.setting import Learning, Setting
from contrastive_age.provenance import Record, file_digest, table_digest
from contrastive_age.reporting.papers import Papers
from contrastive_age.reporting.results import Theirs
from contrastive_age.sources.manifest import source_key
from contrastive_age.tracking import data, descriptions, unique_runs
from contrastive_age.tracking.metrics import flattened
from contrastive_age.tracking.run_tree import (
    TOTAL,
    enter_experiment,
    fold_run,
    is_abandoned,
    is_named_by,
    log_setting,
    losses_of,
    setting_run,
)
from contrastive_age.tracking.tracker import tracker

logger = logging.getLogger(__name__)

BATCH = 1000
"""As many metrics as MLflow takes in one request."""


@dataclass(frozen=True)
class Logged:
    """What the server has of a setting now, and what of it is new.

    Attributes:
        protocol: Its protocol.
        key: The setting's key.
        folds: Its folds that are trained.
        epochs: Epochs that the server did not have.
        measured: Whether all folds are measured, so that there are metrics and figures.
        new_metrics: Metrics that the server did not have, those of folds included.
    """

    protocol: str
    key: str
    folds: int
    epochs: int
    measured: bool
    new_metrics: int


@dataclass(frozen=True)
class Result:
    """The files of one setting, by their names in the catalog.

    Attributes:
        catalog: Of a session of the project.
        current: The values in this session, whose key the catalog's paths have.
        key: The setting's key.
        loader: Of the session's configuration.
    """

    catalog: CatalogProtocol[Any, Any]
    current: Learning
    key: str
    loader: ProjectConfigLoader

    @classmethod
    def of(cls, catalog: CatalogProtocol[Any, Any], current: Learning, loader: Any) -> "Result":
        """The files of the setting that a session has."""
        return cls(catalog, current, current.key, loader)

    @property
    def log_faces(self) -> bool:
        """Whether pictures of its faces may go to MLflow."""
        return may_log_faces(self.loader["parameters"], self.current)

    @property
    def drawn(self) -> bool:
        """Whether nobody is on the photos."""
        return is_drawn(self.loader["parameters"], self.current)

    @cached_property
    def asked(self) -> Asked:
        """What the session was given."""
        return Asked.of(self.loader)

    @cached_property
    def papers(self) -> Papers:
        """What losses and budgets are called by."""
        return Papers(self.loader["parameters"]["effective"]["papers"])

    def kind(self, name: str) -> str | None:
        """What the catalog says that becomes of a dataset in MLflow; None: it does not go there."""
        kind: str | None = (getattr(self.catalog.get(name), "metadata", None) or {}).get("mlflow")
        return kind

    def file(self, name: str) -> OneFile:
        """A file as it lies for this setting."""
        dataset: Any = self.catalog.get(name)
        moved: OneFile = dataset.elsewhere(self.current.key, self.key)
        return moved

    def load(self, name: str) -> Any:
        """What a file holds; None where it is missing, or damaged, which is said."""
        file = self.file(name)
        try:
            return file.load() if file.exists() else None
        except DatasetError as error:
            logger.warning("%s, %s is left out, its file is damaged: %s", self.key, name, error)
            return None

    def metrics(self) -> dict[str, Any] | None:
        """`metrics.json`, where it is there, and the predictions are the ones it was made from."""
        metrics, predictions = (
            self.load(f"{self.current.protocol}.{entry}") for entry in ("metrics", "predictions")
        )
        if metrics is None or predictions is None:
            return None
        if metrics.get("predictions") != table_digest(predictions):
            logger.warning(
                "%s: predictions and metrics do not belong together; run it again", self.key
            )
            return None
        return dict(metrics)

    def values(self, metrics: Mapping[str, Any] | None) -> Learning | None:
        """The setting's values: from its metrics, or those of this session if they are the same."""
        if self.current.key == self.key:
            return self.current
        try:
            return Setting.model_validate(metrics["parameters"]) if metrics else None
        except ValidationError:
            return None

    def belongs(self, name: str, metrics: Mapping[str, Any]) -> bool:
        """Whether a document was not replaced since, or is not yet, by that of another result."""
        kind = name.rpartition(".")[2]
        if not metrics or kind not in {"audit", "leakage", "identity", "gradcam"}:
            return True
        document, record = self.load(name), Record.read(metrics.get("made_from"))
        if document is None:
            return True
        if kind == "audit":
            return bool(document.get("manifest_hash") == metrics["manifest_hash"])
        if kind != "leakage":
            return not Record.read(document.get("made_from")).differences(record.decided_by)
        folds = self.load(f"{self.current.protocol}.folds")
        known = record.decided_by.get("folds")
        return folds is not None and folds.attrs.get("fingerprint") == known

    def audits(self, metrics: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
        """The audits of a setting's sources, where they are of the photos that it has seen."""
        sources = self.current.sources if metrics or self.key == self.current.key else ()
        audits = {source: self.load(f"{source}.audit") for source in sources}
        return {
            source: audit
            for source, audit in audits.items()
            if audit and (not metrics or audit["manifest_hash"] == metrics["manifest_hash"])
        }


def log_result(
    result: Result, run_id: str, names: Collection[str], folds: Sequence[str] = ()
) -> Logged:
    """Log what the server lacks of a setting: values, folds, metrics, tables, figures, the model.

    Args:
        result: Its files.
        run_id: The setting's run.
        names: The datasets to look at. With `metrics` among them, nothing but values and folds is
            logged before all folds are measured.
        folds: The folds to log, too, as in `fold_3`.
    """
    logged = [log_fold(result, run_id, fold) for fold in folds]
    metrics = result.metrics() if f"{result.current.protocol}.metrics" in names else {}
    setting, run = result.values(metrics), mlflow.MlflowClient().get_run(run_id)
    if setting is not None:
        log_values(result, run, setting, _manifests(result, metrics), metrics)
        _log_data(result, run, setting, metrics)
    else:
        logger.warning(
            "%s: its parameters are known once this version has measured all folds; or give "
            "--params as the run had them",
            result.key,
        )
    if metrics is not None:
        logged.append((0, _log_metrics(run, flattened(metrics))))
        _log_files(result, run, names, metrics)
    epochs, new_metrics = map(sum, zip((0, 0), *logged, strict=True))
    return Logged(
        result.current.protocol, result.key, len(folds), epochs, bool(metrics), new_metrics
    )


def log_values(
    result: Result,
    run: Run,
    setting: Learning,
    tags: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Log the values of a setting, a name that people read, and what it is in words.

    Args:
        result: Its files.
        run: Its run as it was found. A name that a user gave it is kept.
        setting: Its values.
        tags: Further tags.
        metrics: `metrics.json`, if there is any. What the run says in words is put anew when these
            are not the ones that it has.
    """
    words, before = {}, run.data.tags.get(MLFLOW_RUN_NOTE)
    if is_named_by(run, result.key):
        words[MLFLOW_RUN_NAME] = result.asked.title(setting)
    # What is run again and has been measured waits for its metrics.
    is_due = descriptions.LINE not in (before or "") and (metrics or "mae" not in run.data.metrics)
    if is_due or _missing(run, flattened(metrics or {})):
        text = descriptions.of_setting(
            setting,
            result.papers,
            result.audits(metrics),
            metrics or None,
            drawn=result.drawn,
            command=result.asked.command(setting),
        )
        words[MLFLOW_RUN_NOTE] = descriptions.with_notes(text, before)
    log_setting(run.info.run_id, setting, {**tags, **words})


def log_whole(result: Result, names: Collection[str], folds: Sequence[str]) -> Logged:
    """Log what the server lacks of a setting that is not under way, and end its runs.

    Args:
        result: Its files.
        names: The datasets to look at.
        folds: The folds that are trained, as in `fold_3`.
    """
    run_id = setting_run(result.key)
    logged = log_result(result, run_id, names, folds)
    _end(mlflow.MlflowClient().get_run(run_id), is_whole=logged.measured)
    return logged


def log_theirs(context: KedroContext, theirs: Theirs) -> Logged:
    """Log predictions that were brought, in a run beside those of settings that is named theirs.

    Args:
        context: Of a session of the project.
        theirs: What was brought.

    Returns:
        What the server has of them now.
    """
    enter_experiment(context, theirs.protocol)
    client, run_id = mlflow.MlflowClient(), setting_run(theirs.key, {"theirs": theirs.name})
    run = client.get_run(run_id)
    tags = {"manifest_hash": theirs.metrics["manifest_hash"]}
    if is_named_by(run, theirs.key):
        tags[MLFLOW_RUN_NAME] = theirs.title
    params, as_tags = [Param("setting", theirs.title)], [RunTag(*tag) for tag in tags.items()]
    unique_runs.again(lambda: client.log_batch(run_id, params=params, tags=as_tags))
    new = _log_metrics(run, flattened(theirs.metrics))
    client.log_dict(run_id, dict(theirs.metrics), "tables/theirs.json")
    _end(run, is_whole=True)
    return Logged(theirs.protocol, theirs.key, theirs.metrics["folds"], 0, True, new)


def _end(run: Run, *, is_whole: bool, moment: int | None = None) -> None:
    """End a run as `FINISHED` if all is there; if not, as `KILLED` unless it has ended or goes on.

    Args:
        run: As it was found.
        is_whole: Whether its result is whole.
        moment: When its last file was written, in ms of Unix time; None is now.
    """
    client = mlflow.MlflowClient()
    if is_whole and run.info.status != "FINISHED":
        client.set_terminated(run.info.run_id, "FINISHED", moment)
    elif not is_whole and run.info.status == "RUNNING" and is_abandoned(run):
        client.set_terminated(run.info.run_id, "KILLED", moment)


def log_fold(
    result: Result, setting_id: str, fold: str, run_id: str | None = None
) -> tuple[int, int]:
    """Log a fold's curves and error, and give the numbers of epochs and metrics that are new.

    Args:
        result: The setting's files.
        setting_id: The setting's run.
        fold: As in `fold_3`.
        run_id: The fold's run, where it is under way; else it is found or made, and ended.
    """
    name = f"{result.current.protocol}.{fold}"
    file, history = result.file(f"{name}.history"), result.load(f"{name}.history")
    if history is None:
        return 0, 0
    seconds = history["seconds"].to_numpy()
    end = file.path.stat().st_mtime if file.is_local else time.time()
    times = (1000 * (end - seconds[::-1].cumsum()[::-1] + seconds)).astype(int)
    is_over = run_id is None
    run_id = run_id or fold_run(setting_id, fold, start_time=int(1000 * (end - seconds.sum())))
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    tags = [RunTag(key, str(value)) for key, value in history.attrs.get("computed", {}).items()]
    unique_runs.again(lambda: client.log_batch(run_id, tags=tags))
    missing = history["epoch"].map(losses_of(run)) != history[TOTAL]
    names = [str(column) for column in history.columns if column != "epoch"]
    curves = [
        Metric(column, float(entry[column]), int(moment), int(entry["epoch"]))
        for (_, entry), moment in zip(history[missing].iterrows(), times[missing], strict=True)
        for column in names
        # A stage of a training may lack terms that another one has.
        if not math.isnan(entry[column])
    ]
    width = BATCH - BATCH % len(names)
    for first in range(0, len(curves), width):
        client.log_batch(run_id, curves[first : first + width])
    predictions = result.load(f"{name}.predictions")
    error = {} if predictions is None else {"mae": abs(signed_errors(predictions)).mean()}
    if is_over:
        _end(run, is_whole=predictions is not None, moment=int(1000 * end))
    return int(missing.sum()), _log_metrics(run, error)


def _manifests(result: Result, metrics: Mapping[str, Any] | None) -> dict[str, str]:
    """The hashes of the manifests of a setting's sources, as tags."""
    if metrics:
        return {"manifest_hash": metrics["manifest_hash"]}
    is_one = len(result.current.sources) == 1
    return {
        "manifest_hash" if is_one else f"manifest_hash_{source}": audit["manifest_hash"]
        for source, audit in result.audits(None).items()
    }


def _log_data(
    result: Result, run: Run, setting: Learning, metrics: Mapping[str, Any] | None
) -> None:
    """Log as inputs the photos that are trained on, and those that were tested."""
    inputs = [
        data.of_source(source_key(source, setting.manifest), audit["manifest_hash"], audit)
        for source, audit in result.audits(metrics).items()
    ]
    folds = Record.read((metrics or {}).get("made_from")).decided_by.get("folds")
    predictions = result.load(f"{setting.protocol}.predictions") if folds else None
    if folds and predictions is not None:
        inputs.append(data.of_tested(_tested(setting), folds, predictions))
    there = run.inputs.dataset_inputs if run.inputs else []
    known = {(each.dataset.name, each.dataset.digest) for each in there}
    new = [each for each in inputs if (each.dataset.name, each.dataset.digest) not in known]
    if new:
        client = mlflow.MlflowClient()
        unique_runs.again(lambda: client.log_inputs(run.info.run_id, new))


def _missing(run: Run, metrics: Mapping[str, float]) -> dict[str, float]:
    """Those metrics that a run has not, or has otherwise."""
    values = {name: float(value) for name, value in metrics.items()}
    return {name: value for name, value in values.items() if run.data.metrics.get(name) != value}


def _log_metrics(run: Run, metrics: Mapping[str, float]) -> int:
    """Log those metrics that the run has not, and give their number."""
    now = int(time.time() * 1000)
    missing = [Metric(name, value, now, 0) for name, value in _missing(run, metrics).items()]
    if missing:
        mlflow.MlflowClient().log_batch(run.info.run_id, metrics=missing)
    return len(missing)


def _log_files(result: Result, run: Run, names: Iterable[str], metrics: Mapping[str, Any]) -> None:
    """Log files that the run has not; all of them where its metrics were others."""
    client, run_id = mlflow.MlflowClient(), run.info.run_id
    there = {
        file.path: file.file_size
        for folder in ("tables", "figures")
        for file in client.list_artifacts(run_id, folder)
    }
    is_same = "tables/metrics.json" in there and metrics == mlflow.artifacts.load_dict(
        f"runs:/{run_id}/tables/metrics.json"
    )
    # The metrics come last: they tell that the others are there.
    for name in sorted(names, key=lambda name: name.endswith(".metrics")):
        kind = result.kind(name)
        if kind in {None, "fold"} or (kind == "faces" and not result.log_faces):
            continue
        if not result.file(name).exists() or not result.belongs(name, metrics):
            continue
        folder = "figures" if kind == "faces" else kind
        with _as_logged(result.file(name)) as path:
            if kind == "model":
                _log_model(run, path)
            elif not is_same or there.get(f"{folder}/{path.name}") != path.stat().st_size:
                client.log_artifact(run_id, str(path), folder)


@contextmanager
def _as_logged(file: OneFile) -> Iterator[Path]:
    """A file as it goes to MLflow: a table as CSV, all else as it is."""
    if not isinstance(file, Table):
        with file.local_copy() as path:
            yield path
        return
    with TemporaryDirectory() as folder:
        path = Path(folder, file.path.name).with_suffix(".csv")
        file.load().to_csv(path, index=False, lineterminator="\n")
        yield path


def _log_model(run: Run, path: Path) -> None:
    """Log the final model as `mlflow models serve` takes it, unless the run has this very one."""
    from contrastive_age.serving import log_served

    digest, tags = file_digest(path), run.data.tags
    tracker.served = tags.get("age_model_uri") if tags.get("age_model") == digest else None
    if tracker.served is None:
        with mlflow.start_run(run_id=run.info.run_id):
            tracker.served = log_served(path)
        for tag, value in {"age_model_uri": tracker.served, "age_model": digest}.items():
            mlflow.MlflowClient().set_tag(run.info.run_id, tag, value)


def _tested(setting: Learning) -> str:
    """Name what a setting's predictions are of."""
    if isinstance(setting, Setting) and setting.part == "validation":
        return f"{setting.protocol} validation parts {setting.validation:g}"
    return f"{setting.protocol} folds"


def may_log_faces(parameters: Mapping[str, Any], setting: Learning) -> bool:
    """Whether pictures of faces go to MLflow: drawn ones, or where `log_faces` says so."""
    said = parameters["log_faces"]
    return is_drawn(parameters, setting) if said is None else bool(said)


def is_drawn(parameters: Mapping[str, Any], setting: Learning) -> bool:
    """Whether nobody is on the photos of a setting's sources."""
    known = parameters["effective"]["sources"]
    return all(known[source]["synthetic"] is not None for source in setting.sources)
