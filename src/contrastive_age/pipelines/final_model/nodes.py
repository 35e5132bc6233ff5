"""Putting the final model together."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.evaluation.conformal import Radii, conformal_radii
from contrastive_age.faces.store import Faces
from contrastive_age.parameters.given import Explanation
from contrastive_age.parameters.setting import Setting
from contrastive_age.protocols.namespaces import FINAL
from contrastive_age.provenance import Record, table_digest

logger = logging.getLogger(__name__)

MEASURES = (
    *("mae", "mae_interval", "mae_by_subject", "mae_constant", "mae_lookup", "leaked_share"),
    *("leaked_copies_share", "without_leaks", "mae_by_age", "predicted_range"),
    *("bias", "cs5", "cs5_interval", "cs", "cs_intervals", "n"),
)
"""What the model repeats of its cross-validation, besides what is broken down."""


def assemble(
    setting: Setting,
    explanation: Explanation,
    samples: pd.DataFrame,
    faces: Faces,
    folds: pd.DataFrame,
    metrics: dict[str, Any],
    predictions: pd.DataFrame,
    model: dict[str, Any],
    history: pd.DataFrame,
    photos: dict[str, Any],
    training_folder: Path,
    tempered: bool,
) -> tuple[Any, str]:
    """Put the network and what is known of it into one model.

    Args:
        setting: The protocol's effective values.
        explanation: Which faces of the cross-validation were explained.
        samples: The source's samples.
        faces: The source's faces, as mapped from their file.
        folds: The protocol's folds.
        metrics: metrics.json of the cross-validation under the very same values.
        predictions: Of all folds.
        model: State dict of the network that was trained on all samples.
        history: Of its training.
        photos: What it has seen.
        training_folder: In its folder `final` lies its checkpoint: the model is stored by now, so
            it goes.
        tempered: Whether its softmax gets the temperature that the folds calibrate, if they do.

    Returns:
        The `AgeModel`, and its card.

    Raises:
        DataError: The metrics are those of other values or predictions, or were taken on inner
            validation parts; or metrics or network were made otherwise than they would be now.
    """
    from contrastive_age.inference import cards, model_file
    from contrastive_age.model import seen
    from contrastive_age.parameters.origins import networks_of, tables_of, training_facts
    from contrastive_age.training import checkpoint, fold

    _check(setting, metrics, predictions)
    name = f"{setting.protocol} {setting.key}"
    fold.require_network(model, networks_of(setting, folds, faces), f"{name}, for all samples")
    Record.read(metrics["made_from"]).require(
        tables_of(setting, explanation, samples, faces, folds),
        f"metrics.json of {name} is another than would be made now",
        "run --pipeline=final_model as a whole",
    )
    checkpoint.discard(training_folder / FINAL)
    # Where copies are trained on and tested, errors say nothing of other photos.
    radii = Radii() if metrics["leaked_copies_share"] else conformal_radii(predictions)
    temperature = _temperature(metrics["calibration"], setting) if tempered else 1.0
    facts = {
        **_facts(setting, samples, folds, metrics),
        **training_facts(setting, history),
        "licence": seen.from_arrays(photos).licence,
        "temperature": temperature,
        "radii": radii.as_json(),
    }
    card = cards.model_card(facts)
    return (
        model_file.AgeModel(
            state=model,
            classes=setting.classes,
            image_size=setting.training.image_size,
            radii=radii,
            card=card,
            facts=facts,
            coverage=setting.alignment.coverage,
            architecture=setting.architecture,
            temperature=temperature,
        ),
        card,
    )


def _temperature(calibration: dict[str, Any], setting: Setting) -> float:
    """The temperature of all folds; 1, with a warning, where there is none."""
    if calibration["temperature"] is None:
        logger.warning(
            "The final model of %s %s has no temperature: %s",
            setting.protocol,
            setting.key,
            calibration["reason"],
        )
        return 1.0
    return float(calibration["temperature"]["of_all"])


def _check(setting: Setting, metrics: dict[str, Any], predictions: pd.DataFrame) -> None:
    if setting.part != "test":
        raise DataError(
            "A final model carries the error on test parts: leave `validation` at null for "
            "--pipeline=final_model, it is for choosing a setting before"
        )
    if metrics["key"] != setting.key or metrics["predictions"] != table_digest(predictions):
        raise DataError(
            f"metrics.json of {setting.protocol} {setting.key} does not belong to its predictions; "
            f"run --pipeline=final_model as a whole"
        )


def _facts(
    setting: Setting, samples: pd.DataFrame, folds: pd.DataFrame, metrics: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": f"{setting.protocol} {setting.key}",
        "protocol": setting.protocol,
        "split": setting.split,
        "trained_on": {
            "source": setting.source,
            # Of a published list some may be tested in no fold.
            "n": len(folds),
            "identities": int(folds["identity"].nunique()),
            "all_of_source": len(folds) == len(samples),
            "manifest_hash": metrics["manifest_hash"],
        },
        "pretrained_on": metrics["external"],
        "cross_validation": {name: metrics[name] for name in MEASURES}
        | {name: metrics[name] for name in ("folds", "conformal", "run_id")},
        "groups": metrics["groups"],
        "thresholds": metrics["thresholds"],
        "calibration": metrics["calibration"],
        "made_from": metrics["made_from"],
    }
