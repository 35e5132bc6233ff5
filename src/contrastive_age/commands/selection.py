"""Choosing among settings without test sets.

For each fold every setting is trained without an inner, subject-exclusive validation part of the
training subjects, and measured on it. The best one's network, trained on all of the fold's training
part, then predicts the test part: its error was never looked at to choose.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from contrastive_age.commands.sweep import (
    Candidate,
    Sweep,
    candidates,
    print_outcomes,
    run_all,
    run_folds,
    track,
)
from contrastive_age.evaluation import metrics as measures
from contrastive_age.evaluation.confidence import ends, mae_interval
from contrastive_age.files import fingerprint, replacing
from contrastive_age.io.files import path_of
from contrastive_age.protocols.namespaces import fold_name
from contrastive_age.provenance import table_digest
from contrastive_age.running.console import print_line, print_table
from contrastive_age.running.place import Place

DEFAULT_SHARE = 0.2
"""Share of the training subjects that validate, where `validation` does not give another."""


def select(place: Place, sweep: Sweep) -> bool:
    """Choose one setting for each fold, predict the test parts, and print and keep what came of it.

    Returns:
        Whether all settings succeeded; nothing is chosen when one did not.
    """
    inner = _with_validation(place, sweep, sweep.candidates[0].setting.validation or DEFAULT_SHARE)
    outer = _with_validation(place, sweep, None)
    with track(place, inner) as parent:
        outcomes = run_all(place, inner, parent)
        if parent.failed:
            print_outcomes(inner, outcomes)
            return False
        scores = validation_scores(
            {
                candidate.setting.key: _load(place, validated, "predictions")
                for candidate, validated in zip(outer.candidates, inner.candidates, strict=True)
            }
        )
        chosen = best_by_fold(scores)
        predictions = _predict(place, outer, chosen)
        document = _document(outer, inner, scores, chosen, predictions)
        folder = _keep(place, outer, document, predictions)
        parent.log_selection(folder.name, document)
    _print(document, folder)
    return True


def validation_scores(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Give the MAE of each setting on each fold's validation part.

    Args:
        predictions: By setting, `fold, age, predicted_age` of the validation parts.

    Returns:
        Years, a row a fold and a column a setting.
    """
    errors = {
        key: (table["predicted_age"] - table["age"]).abs().groupby(table["fold"]).mean()
        for key, table in predictions.items()
    }
    return pd.DataFrame(errors)


def best_by_fold(scores: pd.DataFrame) -> dict[int, str]:
    """Give the setting of the lowest validation MAE for each fold; of equal ones, the first."""
    best = scores.idxmin(axis=1)
    return {int(fold): str(key) for fold, key in zip(scores.index, best, strict=True)}


def _with_validation(place: Place, sweep: Sweep, share: float | None) -> Sweep:
    """The same settings, measured on a validation part or on the test part."""
    part = [{"validation": share}]
    measured = [
        replace(candidates(place, sweep.protocol, one.given, part)[0], point=one.point)
        for one in sweep.candidates
    ]
    return replace(sweep, candidates=measured)


def _predict(place: Place, outer: Sweep, chosen: Mapping[int, str]) -> pd.DataFrame:
    """Predict each fold's test part by the setting chosen for it."""
    parts = []
    for candidate in outer.candidates:
        folds = [fold for fold, key in chosen.items() if key == candidate.setting.key]
        if folds:
            run_folds(place, candidate, folds)
            parts += [
                (candidate.setting.key, _load(place, candidate, f"{fold_name(fold)}.predictions"))
                for fold in folds
            ]
    records = {key: part.attrs["record"] for key, part in parts}
    tables = pd.concat([part for _, part in parts])
    # Of tables with differing attrs, pandas keeps none.
    predictions: pd.DataFrame = tables.sort_values("sample_id", ignore_index=True)
    predictions.attrs = {"made_from": records}
    measures.check_predictions(predictions, _load(place, outer.candidates[0], "folds"))
    return predictions


def _document(
    outer: Sweep,
    inner: Sweep,
    scores: pd.DataFrame,
    chosen: Mapping[int, str],
    predictions: pd.DataFrame,
) -> dict[str, Any]:
    """What `selection.json` holds."""
    return {
        "protocol": outer.protocol,
        "validation": inner.candidates[0].setting.validation,
        "candidates": {candidate.setting.key: candidate.point for candidate in outer.candidates},
        "by_fold": [
            {
                "fold": fold,
                "chosen": key,
                "validation_mae": scores.loc[fold].to_dict(),
            }
            for fold, key in chosen.items()
        ],
        "predictions": table_digest(predictions),
        "made_from": predictions.attrs["made_from"],
        "mae": float(abs(measures.signed_errors(predictions)).mean()),
        "mae_interval": ends(mae_interval(predictions)),
        "n": len(predictions),
        "subjects": int(predictions["identity"].nunique()),
    }


def _keep(
    place: Place, outer: Sweep, document: Mapping[str, Any], predictions: pd.DataFrame
) -> Path:
    """Write the document and the predictions beside those of the settings."""
    keys: Sequence[str] = sorted(document["candidates"])
    name = f"selected-{fingerprint(keys, document['validation'])[:8]}"
    catalog = place.context(outer.candidates[0].given).catalog
    reports, outputs = (
        path_of(catalog, f"{outer.protocol}.{entry}").parent.parent / name
        for entry in ("metrics", "predictions")
    )
    with replacing(outputs / "predictions.parquet") as beside:
        predictions.to_parquet(beside)
    with replacing(reports / "selection.json") as beside:
        beside.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return reports


def _print(document: Mapping[str, Any], folder: Path) -> None:
    """Print which setting was chosen in each fold, and the error on the test parts."""
    rows = [
        [str(choice["fold"]), choice["chosen"], f"{choice['validation_mae'][choice['chosen']]:.2f}"]
        for choice in document["by_fold"]
    ]
    columns = ["fold", "setting", "validation MAE (years)"]
    print_table(f"Chosen on validation parts of {document['protocol']}", columns, rows)
    interval = document["mae_interval"]
    spread = "" if interval is None else f" (95% {interval[0]:.2f} to {interval[1]:.2f})"
    print_line(f"MAE on the test parts: {document['mae']:.2f} years{spread}")
    print_line(f"Kept in {folder}")


def _load(place: Place, candidate: Candidate, name: str) -> Any:
    return place.context(candidate.given).catalog.load(f"{candidate.setting.protocol}.{name}")
