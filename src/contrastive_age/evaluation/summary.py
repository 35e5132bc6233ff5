"""A setting's predictions put together, all that is measured of them, and what decides both."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from contrastive_age.evaluation import calibration, metrics
from contrastive_age.evaluation.confidence import (
    cs_intervals,
    ends,
    mae_interval,
    mae_intervals_by_fold,
    mean_interval,
    without_leaks,
)
from contrastive_age.evaluation.conformal import coverage, cross_conformal, subjects_apart
from contrastive_age.evaluation.fold import Arrays, evaluate_fold
from contrastive_age.evaluation.gradcam import summarise
from contrastive_age.evaluation.groups import (
    age_thresholds,
    group_report,
    labels_digest,
    predicted_range,
)
from contrastive_age.model.ages import AgeClasses
from contrastive_age.protocols.parts import Parts
from contrastive_age.provenance import Record, code_of, made_with

LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "torch")
"""What tables are made with."""


def tables_decided_by(
    networks: Mapping[str, Any],
    samples: pd.DataFrame,
    folds: pd.DataFrame,
    explained: Mapping[str, Any],
) -> dict[str, Any]:
    """Name all that decides the predictions and metrics of a setting.

    Args:
        networks: As `networks_decided_by` gives it for all samples of the folds.
        samples: The source's samples, with what is known of sex and race.
        folds: The protocol's folds.
        explained: Which faces are explained: what JSON can hold.
    """
    # What trains is of a fold each: here the folds stand for all.
    common = {name: value for name, value in networks.items() if name != "samples trained on"}
    return common | {
        "folds": folds.attrs.get("fingerprint"),
        "sex and race": labels_digest(samples, folds["sample_id"]),
        "explained": dict(explained),
        "code of evaluation": code_of(evaluate_fold, measure, summarise),
    }


def tables_made_with() -> dict[str, str]:
    """Name the libraries and the machine that make tables here."""
    return made_with(*LIBRARIES)


def collect(
    predictions: Sequence[pd.DataFrame], of_folds: Sequence[Parts], name: str
) -> pd.DataFrame:
    """Put the predictions of all folds into one table, sorted by sample.

    Args:
        predictions: Of each fold, from the first, with their records.
        of_folds: The parts of each fold.
        name: The protocol and its setting, for messages.

    Returns:
        The table, whose `attrs` hold the record of all, and in which ways they were computed.

    Raises:
        DataError: A sample is missing, doubled, or predicted in another fold than its own; or folds
            were evaluated by other data or code than the rest.
    """
    first = Record.of(predictions[0])
    for fold, (table, parts) in enumerate(zip(predictions, of_folds, strict=True)):
        metrics.check_predictions(table, parts.tested.assign(fold=fold))
        record = Record.of(table)
        record.require(
            first.decided_by,
            f"The predictions of fold {fold} of {name} and of fold 0 are made otherwise",
            "run all of the protocol",
        )
        record.say_where(f"fold {fold} of {name}", tables_made_with())
    # Of tables with differing attrs, pandas keeps none.
    together = pd.concat([table.reset_index(drop=True) for table in predictions], ignore_index=True)
    computed = [table.attrs.get("computed", {}) for table in predictions]
    together.attrs = {
        "record": first.document,
        "computed": [way for place, way in enumerate(computed) if way not in computed[:place]],
    }
    return together.sort_values(["sample_id", "fold"], ignore_index=True)


def measure(
    predictions: pd.DataFrame,
    samples: pd.DataFrame,
    constants: Mapping[int, float],
    leakage: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Measure predictions: errors with intervals, by group, at legal ages; predictive intervals.

    Args:
        predictions: Of all folds.
        samples: The source's samples, which say who is of which sex and race.
        constants: The age in years that each fold's training part has in the middle, by the fold.
        leakage: What `leakage.json` holds; None for predictions of validation parts, of which it
            says nothing.

    Returns:
        What `metrics.json` holds of them (`constant_interval` is that of the MAE minus the
        constant's, see `metrics.no_better`), and the predictive intervals. There are none of
        validation parts, where a sample can be predicted in several folds, so that no fold
        calibrates another, nor where copies are trained on and tested, so that errors say nothing
        of other photos, nor of a single fold.
    """
    known = leakage or {"mae_lookup": None, "leaked_share": 0.0, "leaked_copies_share": 0.0}
    leaking = known.get("leaking_samples")
    several = len(predictions["fold"].unique()) > 1
    calibrate = several and leakage is not None and not leakage["leaked_copies"]
    intervals = cross_conformal(predictions) if calibrate else predictions[["sample_id"]].iloc[:0]
    of_constant = (predictions["age"] - predictions["fold"].map(constants)).abs()
    measured = metrics.summarise(predictions, mae_constant=float(of_constant.mean()))
    against = np.abs(metrics.signed_errors(predictions)) - of_constant
    scores = cs_intervals(predictions)
    measured |= {
        "mae_interval": ends(mae_interval(predictions)),
        "constant_interval": ends(mean_interval(predictions["identity"], against)),
        "cs5_interval": scores["5"],
        "cs_intervals": scores,
        "fold_mae": measured["fold_mae"] | {"intervals": mae_intervals_by_fold(predictions)},
        "groups": group_report(predictions, samples),
        "thresholds": age_thresholds(predictions),
        "predicted_range": predicted_range(predictions),
        "conformal": coverage(predictions, intervals) if calibrate else None,
        **{name: known[name] for name in ("mae_lookup", "leaked_share", "leaked_copies_share")},
        "without_leaks": without_leaks(predictions, leaking) if leaking else None,
    }
    return measured, intervals


def measure_calibration(
    predictions: pd.DataFrame,
    outputs: Sequence[Arrays],
    classes: AgeClasses,
    leakage: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Measure how well the softmax is calibrated, as it is and under a temperature.

    Args:
        predictions: Of all folds.
        outputs: `sample_id` and `logits` of each fold, from the first.
        classes: Of the logits.
        leakage: As for `measure`.

    Returns:
        As `calibration.report` gives it. There is no temperature where another fold's networks
        would not have said it of strangers: of validation parts, where people have images in
        several folds, and where copies are trained on and tested.
    """
    why_not = None
    if leakage is None:
        why_not = "these are validation parts, of which one sample can be in several folds"
    elif leakage["leaked_copies"]:
        why_not = "copies of tested photos were trained on"
    elif not subjects_apart(predictions):
        why_not = "people have photos in several folds"
    parts = [of_outputs(predictions, fold, arrays) for fold, arrays in enumerate(outputs)]
    together = pd.concat(parts, ignore_index=True)
    return calibration.report(
        np.concatenate([arrays["logits"] for arrays in outputs]),
        classes.index(together["age"].to_numpy(np.int64)),
        pd.factorize(together["identity"])[0],
        together["fold"].to_numpy(np.int64),
        why_not,
    )


def measure_identity(
    predictions: pd.DataFrame, outputs: Sequence[Arrays], ages: metrics.Ints, seed: int
) -> dict[str, Any]:
    """Measure how much of the identity is left in what the networks give.

    Args:
        predictions: Of all folds.
        outputs: `sample_id`, `features` and `logits` of each fold, from the first.
        ages: The age of each class in years, (A,).
        seed: Of the probes.

    Returns:
        What `identity.json` holds.
    """
    # scikit-learn takes a second to import
    from contrastive_age.evaluation.identity import measure_fold, pool

    parts = (of_outputs(predictions, fold, arrays) for fold, arrays in enumerate(outputs))
    return pool(
        [
            measure_fold(
                part["identity"].to_numpy(),
                part["age"].to_numpy(),
                arrays["features"],
                arrays["logits"],
                ages,
                seed=seed,
            )
            for part, arrays in zip(parts, outputs, strict=True)
        ]
    )


def of_outputs(predictions: pd.DataFrame, fold: int, outputs: Arrays) -> pd.DataFrame:
    """The predictions of a fold in the order of its outputs.

    Args:
        predictions: Of all folds.
        fold: The fold.
        outputs: With `sample_id`.
    """
    of_fold = predictions[predictions["fold"] == fold].set_index("sample_id")
    return of_fold.loc[outputs["sample_id"]].reset_index()
