"""Bringing to MLflow what was measured while its server could not be reached.

What a run leaves in files is laid beside what the server has, and only the difference is logged:
the tree is the one of a run that was tracked, and a second upload changes nothing.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.context import KedroContext
from kedro.io import CatalogProtocol
from mlflow.entities import Metric, Run, RunTag
from pydantic import ValidationError

from contrastive_age.errors import DataError
from contrastive_age.parameters.setting import Setting
from contrastive_age.provenance import Record, table_digest
from contrastive_age.running.place import Place
from contrastive_age.tracking import hook as tracking
from contrastive_age.tracking.connection import FAILURES, why_lost, without_password

logger = logging.getLogger(__name__)

BATCH = 1000
"""As many metrics as MLflow takes in one request."""


@dataclass(frozen=True)
class Uploaded:
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
class _Results:
    """The files of one setting.

    Attributes:
        context: Of a session of the project.
        catalog: Its catalog, which a context makes anew whenever it is asked.
        current: The values that the protocol has in this session, whose key the catalog's paths
            have.
        key: The setting's key.
    """

    context: KedroContext
    catalog: CatalogProtocol[Any, Any]
    current: Setting
    key: str

    def path(self, entry: str) -> Path:
        """Where an entry of the protocol lies for this setting."""
        return self.path_of(f"{self.current.protocol}.{entry}")

    def path_of(self, name: str) -> Path:
        """Where anything of the catalog lies for this setting."""
        dataset: Any = self.catalog.get(name)
        return Path(str(dataset._filepath).replace(self.current.key, self.key))

    def folds(self) -> list[str]:
        """The names of the folds that are trained."""
        found = self.path("fold_0.history").parent.parent.glob("fold_*/history.parquet")
        return sorted((path.parent.name for path in found), key=lambda name: (len(name), name))

    def metrics(self) -> dict[str, Any] | None:
        """`metrics.json`, where it is there, and the predictions are the ones it was made from."""
        try:
            found: dict[str, Any] = json.loads(self.path("metrics").read_text(encoding="utf-8"))
            predictions = pd.read_parquet(self.path("predictions"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("%s is left out, a file is damaged: %s", self.key, error)
            return None
        if found.get("predictions") != table_digest(predictions):
            logger.warning(
                "%s: predictions and metrics do not belong together; run it again", self.key
            )
            return None
        return found


def upload(place: Place, given: Mapping[str, Any], protocols: Sequence[str] = ()) -> list[Uploaded]:
    """Log every result below the data folder that the tracking server does not have.

    Args:
        place: The project.
        given: Run-time parameters.
        protocols: Which; none given, all.

    Returns:
        What the server has now, by setting.

    Raises:
        DataError: The server fails, or a protocol is unknown.
    """
    with place.session(given) as session:
        context = session.load_context()
        if why_lost() is not None:
            raise DataError(
                f"Nothing was uploaded: {why_lost()}. Start the server or set MLFLOW_TRACKING_URI, "
                "and run this command again"
            )
        known = context.config_loader["parameters"]["effective"]["protocols"]
        for protocol in protocols:
            if protocol not in known:
                raise DataError(f"{protocol} is no protocol; choose one of {', '.join(known)}")
        catalog = context.catalog
        try:
            return [
                _upload_setting(results)
                for protocol in protocols or known
                for results in _all_results(
                    context, catalog, Setting.model_validate(known[protocol])
                )
            ]
        except FAILURES as error:
            raise DataError(
                f"The upload stopped: {without_password(str(error))}. Run this command again; what "
                "the server has by now is kept"
            ) from error


def _all_results(
    context: KedroContext, catalog: CatalogProtocol[Any, Any], current: Setting
) -> Iterable[_Results]:
    """The settings of a protocol that have left anything."""
    own = _Results(context, catalog, current, current.key)
    reports, models = own.path("metrics"), own.path("fold_0.history")
    found = {path.parent.name for path in reports.parent.parent.glob("*/metrics.json")}
    trained = models.parent.parent.parent.glob("*/fold_*/history.parquet")
    found |= {path.parent.parent.name for path in trained}
    return [_Results(context, catalog, current, key) for key in sorted(found)]


def _upload_setting(results: _Results) -> Uploaded:
    current = results.current
    tracking.enter_experiment(results.context, current.protocol)
    client, _ = tracking.place_of(results.context)
    run_id = tracking.setting_run(results.context, results.key)
    folds = [_upload_fold(results, run_id, fold) for fold in results.folds()]
    new = 0
    metrics = results.metrics()
    setting = _values(results, metrics)
    if setting is not None:
        tracking.log_setting(client, run_id, setting, {})
    else:
        why = "all folds are measured" if metrics is None else "this version measures it again"
        logger.warning(
            "%s: its parameters are known once %s; or give --params as the run had them",
            results.key,
            why,
        )
    run = client.get_run(run_id)
    if metrics is not None:
        client.set_tag(run_id, "manifest_hash", metrics["manifest_hash"])
        new = _log_metrics(client, run, tracking.as_metrics(metrics))
        _log_files(client, run_id, "tables", _tables(results, metrics), always=new > 0)
        _log_files(client, run_id, "figures", _figures(results), always=new > 0)
    if run.info.status != "FINISHED":
        client.set_terminated(run_id)
    return Uploaded(
        current.protocol,
        results.key,
        folds=len(folds),
        epochs=sum(epochs for epochs, _ in folds),
        measured=metrics is not None,
        new_metrics=new + sum(own for _, own in folds),
    )


def _values(results: _Results, metrics: Mapping[str, Any] | None) -> Setting | None:
    """The setting's values: from its metrics, or those of this session if they are the same."""
    if results.current.key == results.key:
        return results.current
    try:
        return None if metrics is None else Setting.model_validate(metrics["parameters"])
    except ValidationError:
        return None


def _upload_fold(results: _Results, parent: str, fold: str) -> tuple[int, int]:
    """Log a fold's curves and error, and give the numbers of epochs and metrics that are new."""
    path = results.path(f"{fold}.history")
    try:
        history = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        logger.warning("%s, %s is left out, its history is damaged: %s", results.key, fold, error)
        return 0, 0
    client, _ = tracking.place_of(results.context)
    seconds = history["seconds"].to_numpy()
    end = path.stat().st_mtime
    start = int(1000 * (end - seconds.sum()))
    run_id = tracking.fold_run(results.context, parent, fold, start_time=start)
    run = client.get_run(run_id)
    tags = [RunTag(key, str(value)) for key, value in history.attrs.get("computed", {}).items()]
    client.log_batch(run_id, tags=tags)
    # An epoch is logged whole or not at all, so one of its curves tells for all.
    logged = sorted(client.get_metric_history(run_id, "total"), key=lambda own: own.timestamp)
    known = {own.step: own.value for own in logged}
    times = (1000 * (end - seconds[::-1].cumsum()[::-1] + seconds)).astype(int)
    missing = [bool(known.get(int(row["epoch"])) != row["total"]) for _, row in history.iterrows()]
    names = [name for name in history.columns if name != "epoch"]
    curves = [
        Metric(str(name), float(entry[name]), int(time), int(entry["epoch"]))
        for (_, entry), time in zip(history[missing].iterrows(), times[missing], strict=True)
        for name in names
    ]
    width = BATCH - BATCH % len(names)
    for first in range(0, len(curves), width):
        client.log_batch(run_id, curves[first : first + width])
    new = 0
    predictions = results.path(f"{fold}.predictions")
    if predictions.is_file():
        mae = tracking.fold_error(pd.read_parquet(predictions))
        new = _log_metrics(client, run, [Metric("mae", mae, int(1000 * end), 0)])
    if run.info.status != "FINISHED":
        client.set_terminated(run_id, end_time=int(1000 * end))
    return sum(missing), new


def _log_metrics(client: Any, run: Run, metrics: Sequence[Metric]) -> int:
    """Log those metrics that the run has not, and give their number."""
    missing = [own for own in metrics if run.data.metrics.get(own.key) != own.value]
    if missing:
        client.log_batch(run.info.run_id, metrics=missing)
    return len(missing)


def _tables(results: _Results, metrics: Mapping[str, Any]) -> list[Path]:
    """Predictions and documents, but none that other folds or samples have replaced since."""
    found = [results.path("predictions"), results.path("metrics")]
    audit = results.path_of(f"{results.current.source}.audit")
    if audit.is_file():
        own = json.loads(audit.read_text(encoding="utf-8"))
        found += [audit] if own["manifest_hash"] == metrics["manifest_hash"] else []
    folds, leakage = results.path("folds"), results.path("leakage")
    if folds.is_file() and leakage.is_file():
        known = Record.read(metrics.get("made_from")).decided_by.get("folds")
        found += [leakage] if pd.read_parquet(folds).attrs.get("fingerprint") == known else []
    return found


def _figures(results: _Results) -> list[Path]:
    parameters = results.context.config_loader["parameters"]
    faces = tracking.may_log_faces(parameters, results.current)
    names = tracking.FIGURES | (tracking.FACES if faces else set())
    paths = [results.path(name) for name in sorted(names)]
    return [path for path in paths if path.is_file()]


def _log_files(
    client: Any, run_id: str, folder: str, paths: Sequence[Path], *, always: bool
) -> None:
    """Log files that the run has not; all of them where its metrics were others."""
    there = {Path(own.path).name: own.file_size for own in client.list_artifacts(run_id, folder)}
    for path in paths:
        if always or there.get(path.name) != path.stat().st_size:
            client.log_artifact(run_id, str(path), folder)
