"""Reading what was measured, from the folder of all data."""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age import tables
from contrastive_age.evaluation.groups import labels_digest
from contrastive_age.provenance import Record, table_digest
from contrastive_age.reporting.papers import Pretraining
from contrastive_age.sources.manifest import source_key

logger = logging.getLogger(__name__)


class Tested:
    """What has predictions of test images."""

    predictions: pd.DataFrame

    @property
    def tested(self) -> str:
        """Name the images that it was tested on, in 16 hexadecimal digits."""
        return table_digest(self.predictions[["sample_id"]].sort_values("sample_id"))

    @property
    def folds(self) -> str:
        """Name the folds that they were tested in, in 16 hexadecimal digits."""
        return table_digest(self.predictions[["sample_id", "fold"]].sort_values("sample_id"))


@dataclass(frozen=True, eq=False)
class Measured(Tested):
    """One finished run: one setting of one protocol with one seed.

    Attributes:
        protocol: Such as `morph_se`.
        setting: The name it was run under, such as `ternary`.
        key: Name and hash of all values, as in the paths of its files.
        seed: Of training.
        parameters: All values in effect, as `metrics.json` holds them.
        metrics: `metrics.json`.
        identity: `identity.json`, where it was made.
        gradcam: `gradcam.json`, where it was made.
        predictions: `sample_id, identity, fold, age, predicted_age, predicted_std`, a row an image.
        run_id: Of the MLflow run, where there is one.
        demo: Whether the faces are drawn.
        labels: `sample_id` and, where the source tells, `sex` and `race`, by which the result was
            measured; None where they are not known to be the same.
    """

    protocol: str
    setting: str
    key: str
    seed: int
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    identity: Mapping[str, Any] | None
    gradcam: Mapping[str, Any] | None
    predictions: pd.DataFrame
    run_id: str | None
    demo: bool
    labels: pd.DataFrame | None = None

    @property
    def pretraining(self) -> Pretraining | None:
        """The training on other faces that it started from; None for any other start."""
        # Old documents do not tell of it.
        return self.metrics.get("external") or None


@dataclass(frozen=True, eq=False)
class Theirs(Tested):
    """Predictions that were brought to a protocol's test photos, and are nobody's setting.

    Attributes:
        protocol: Such as `morph_se`.
        name: What they were called.
        key: Their folder.
        metrics: `theirs.json`.
        predictions: `sample_id, identity, fold, age, predicted_age`, a row a photo that has one.
        demo: Whether the faces are drawn.
    """

    protocol: str
    name: str
    key: str
    metrics: Mapping[str, Any]
    predictions: pd.DataFrame
    demo: bool

    @property
    def title(self) -> str:
        """Their name with the mark that is never left away."""
        return f"theirs: {self.name}"

    @property
    def photos(self) -> str:
        """How many of the test photos they have, in words; empty where they have all."""
        n, of = self.metrics["n"], self.metrics["test_photos"]
        return "" if n == of else f"on {n:,} of {of:,} photos"


def read_results(data_folder: Path, drawn: Collection[str]) -> list[Measured]:
    """Read every result on test parts whose predictions are those that were measured.

    Args:
        data_folder: The folder of all data.
        drawn: The sources whose faces are drawn.

    Returns:
        Finished runs, by protocol and key. What cannot be used is logged with its reason.
    """
    runs = []
    for path in sorted((data_folder / "08_reporting").glob("*/*/metrics.json")):
        metrics = _read(path)
        if not metrics or metrics.get("part") == "validation":
            continue
        predictions = _predictions_of(path, metrics, data_folder)
        if predictions is None:
            continue
        try:
            runs.append(_measured(path, metrics, predictions, data_folder, drawn))
        except (AttributeError, LookupError, TypeError) as error:
            logger.warning("%s is left out: it is damaged (%r); run it again", path, error)
    return runs


def _measured(
    path: Path,
    metrics: dict[str, Any],
    predictions: pd.DataFrame,
    data_folder: Path,
    drawn: Collection[str],
) -> Measured:
    parameters = metrics["parameters"]
    return Measured(
        protocol=metrics["protocol"],
        setting=metrics["setting"],
        key=metrics["key"],
        seed=parameters["seed"],
        parameters=parameters,
        metrics=metrics,
        identity=_beside(path, "identity.json", metrics),
        gradcam=_beside(path, "gradcam.json", metrics),
        predictions=predictions,
        run_id=metrics["run_id"],
        demo=parameters["source"] in drawn,
        labels=_labels(metrics, predictions, data_folder),
    )


def read_theirs(data_folder: Path, drawn: Collection[str]) -> list[Theirs]:
    """Read everything that was brought, where its predictions are those that were measured.

    Args:
        data_folder: The folder of all data.
        drawn: The sources whose faces are drawn.

    Returns:
        By protocol and name. What cannot be used is logged with its reason.
    """
    found = []
    for path in sorted((data_folder / "08_reporting").glob("*/theirs-*/theirs.json")):
        metrics = _read(path)
        predictions = _predictions_of(path, metrics, data_folder) if metrics else None
        if predictions is None:
            continue
        try:
            demo = metrics["parameters"]["source"] in drawn
            named = metrics["protocol"], metrics["theirs"], metrics["key"]
            found.append(Theirs(*named, metrics, predictions, demo))
        except (LookupError, TypeError) as error:
            logger.warning("%s is left out: it is damaged (%r); bring it again", path, error)
    return sorted(found, key=lambda one: (one.protocol, one.name))


def read_audits(data_folder: Path) -> dict[str, dict[str, Any]]:
    """Read each source's `audit.json`, by the name of its folder."""
    paths = sorted((data_folder / "02_intermediate").glob("*/audit.json"))
    return {path.parent.name: audit for path in paths if (audit := _read(path))}


def read_selections(data_folder: Path) -> list[dict[str, Any]]:
    """Read every `selection.json` whose predictions are those that were measured."""
    return [
        selection
        for path in sorted((data_folder / "08_reporting").glob("*/selected-*/selection.json"))
        if (selection := _read(path)) and _predictions_of(path, selection, data_folder) is not None
    ]


def read_maps(data_folder: Path, run: Measured) -> dict[str, npt.NDArray[Any]]:
    """Read the Grad-CAM maps of those folds of a run that have them.

    Returns:
        `sample_id` (n,) and `maps` (n, h, w); without any fold, no `sample_id` alone.
    """
    folder = data_folder / "07_model_output" / run.protocol / run.key
    folds = [np.load(path) for path in sorted(folder.glob("fold_*/gradcam.npz"))]
    if not folds:
        return {"sample_id": np.array([], dtype=np.str_)}
    return {name: np.concatenate([fold[name] for fold in folds]) for name in ("sample_id", "maps")}


def _predictions_of(
    path: Path, document: Mapping[str, Any], data_folder: Path
) -> pd.DataFrame | None:
    """The predictions that a document measures; None, logged with the reason, for others."""
    outputs = data_folder / "07_model_output" / path.parts[-3] / path.parts[-2]
    try:
        predictions = tables.read(outputs / "predictions.parquet")
    except (OSError, ValueError) as error:
        logger.warning("%s is left out: its predictions cannot be read (%s)", path, error)
        return None
    if document.get("predictions") != table_digest(predictions):
        logger.warning("%s is left out: its predictions were changed; run it again", path)
        return None
    return predictions


def _labels(
    metrics: Mapping[str, Any], predictions: pd.DataFrame, data_folder: Path
) -> pd.DataFrame | None:
    """The source's samples, where what they tell of the people is what the result was made with."""
    parameters = metrics["parameters"]
    folder = source_key(parameters["source"], parameters.get("manifest"))
    try:
        samples = tables.read(data_folder / "02_intermediate" / folder / "samples.parquet")
    except (OSError, ValueError):
        return None
    made_from = Record.read(metrics.get("made_from")).decided_by or {}
    same = made_from.get("sex and race") == labels_digest(samples, predictions["sample_id"])
    return samples.filter(items=["sample_id", "sex", "race"]) if same else None


def _read(path: Path) -> dict[str, Any]:
    """Read a document; one that is damaged is logged, and counts as empty."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    logger.warning("%s is left out: it is damaged; run it again", path)
    return {}


def _beside(path: Path, name: str, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """A document beside metrics.json, where it is there and of the same predictions."""
    beside = path.with_name(name)
    document = _read(beside) if beside.is_file() else {}
    # Documents of earlier versions do not say what they were made from.
    measured, told = (Record.read(known.get("made_from")) for known in (metrics, document))
    if told.decided_by and told.differences(measured.decided_by):
        logger.warning("%s is left out: it is of other predictions; run the setting again", beside)
        return None
    return document or None
