"""Choosing among settings without test sets.

For each fold every setting is trained without an inner, subject-exclusive validation part of the
training subjects, and measured on it. The best one's network, trained on all of the fold's training
part, then predicts the test part: its error was never looked at to choose. Of several seeds the
mean of their errors counts, and all of them predict: a seed is never chosen.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from contrastive_age import tables
from contrastive_age.commands.sweep import (
    SEED,
    Candidate,
    Sweep,
    candidates,
    load,
    predictions_of,
    prepare,
    print_outcomes,
    run_all,
    run_folds,
    track,
)
from contrastive_age.errors import DataError
from contrastive_age.evaluation import metrics as measures
from contrastive_age.evaluation.confidence import ends, mae_interval
from contrastive_age.evaluation.seeds import Tables, average_over_seeds
from contrastive_age.files import fingerprint, replacing
from contrastive_age.io.files import path_of
from contrastive_age.protocols.namespaces import fold_name
from contrastive_age.provenance import table_digest
from contrastive_age.running.place import Place
from contrastive_age.running.printing import print_line, print_table

DEFAULT_SHARE = 0.2
"""Share of the training subjects that validate, where `validation` does not give another."""


def select(place: Place, sweep: Sweep) -> bool:
    """Choose one setting for each fold, predict the test parts, and print and keep what came of it.

    Returns:
        Whether all settings succeeded; nothing is chosen when one did not.

    Raises:
        DataError: `validation` is among what is swept.
    """
    if "validation" in sweep.axes:
        raise DataError(
            "settings are chosen on validation parts of one size: give --params=validation=0.2 in "
            "place of --set validation=..."
        )
    inner = _with_validation(place, sweep, sweep.candidates[0].setting.validation or DEFAULT_SHARE)
    outer = _with_validation(place, sweep, None)
    shared = prepare(place, inner)
    if shared is None:
        return False
    with track(place, inner) as parent:
        outcomes = run_all(place, inner, parent, shared)
        if parent.failed:
            print_outcomes(place, inner, outcomes)
            return False
        groups = {_name(group): group for group in outer.groups}
        validated = zip(groups, inner.groups, strict=True)
        scores = validation_scores(
            {name: [predictions_of(place, one) for one in group] for name, group in validated}
        )
        chosen = best_by_fold(scores)
        predictions = _predict(place, groups, chosen)
        document = _document(inner, groups, scores, chosen, predictions)
        folder = _keep(place, outer, document, predictions)
        parent.log_selection(folder.name, document)
    _print(document, folder)
    return True


def validation_scores(predictions: Mapping[str, Tables]) -> pd.DataFrame:
    """Give the MAE of each setting on each fold's validation part, the mean over its seeds.

    Args:
        predictions: By setting, `sample_id, identity, fold, age, predicted_age` of the validation
            parts, a table a seed. A sample that validates several folds has another name in each.

    Returns:
        Years, a row a fold and a column a setting.
    """
    averaged = {name: average_over_seeds(tables) for name, tables in predictions.items()}
    errors = {
        name: table.groupby("fold")["absolute_error"].mean() for name, table in averaged.items()
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


def _name(group: Sequence[Candidate]) -> str:
    """Name a setting: by the key of its only run, or by what its seeds have in common."""
    first = group[0].setting
    return first.key if len(group) == 1 else first.group


def _predict(
    place: Place, groups: Mapping[str, Sequence[Candidate]], chosen: Mapping[int, str]
) -> pd.DataFrame:
    """Predict each fold's test part by all seeds of the setting chosen for it.

    Returns:
        A row an image, or with several seeds a row a `seed` and image.
    """
    seeds: dict[int, list[pd.DataFrame]] = {}
    records = {}
    for name, group in groups.items():
        folds = [fold for fold, best in chosen.items() if best == name]
        for candidate in group if folds else ():
            run_folds(place, candidate, folds)
            parts = [load(place, candidate, f"{fold_name(fold)}.predictions") for fold in folds]
            records[candidate.setting.key] = parts[-1].attrs["record"]
            seeds.setdefault(candidate.setting.seed, []).extend(parts)
    (first, *_), *_ = groups.values()
    tested = load(place, first, "folds")
    tables = {
        seed: pd.concat(parts).sort_values("sample_id", ignore_index=True)
        for seed, parts in seeds.items()
    }
    for table in tables.values():
        measures.check_predictions(table, tested)
    predictions = (
        next(iter(tables.values()))
        if len(tables) == 1
        else pd.concat([t.assign(seed=seed) for seed, t in tables.items()], ignore_index=True)
    )
    # Of tables with differing attrs, pandas keeps none.
    predictions.attrs = {"made_from": records}
    return predictions


def _document(
    inner: Sweep,
    groups: Mapping[str, Sequence[Candidate]],
    scores: pd.DataFrame,
    chosen: Mapping[int, str],
    predictions: pd.DataFrame,
) -> dict[str, Any]:
    """What `selection.json` holds."""
    tables = [predictions]
    if SEED in predictions:
        tables = [table for _, table in predictions.groupby(SEED)]
    maes = [float(abs(measures.signed_errors(table)).mean()) for table in tables]
    return {
        "protocol": inner.protocol,
        "validation": inner.candidates[0].setting.validation,
        "candidates": {
            name: {axis: value for axis, value in group[0].point.items() if axis != SEED}
            for name, group in groups.items()
        },
        "seeds": [one.setting.seed for one in next(iter(groups.values()))],
        "runs": {name: [one.setting.key for one in group] for name, group in groups.items()},
        "by_fold": [
            {
                "fold": fold,
                "chosen": name,
                "validation_mae": scores.loc[fold].to_dict(),
            }
            for fold, name in chosen.items()
        ],
        "predictions": table_digest(predictions),
        "made_from": predictions.attrs["made_from"],
        "mae": fmean(maes),
        "mae_interval": ends(mae_interval(tables)),
        "seed_sd": stdev(maes) if len(maes) > 1 else None,
        "n": len(tables[0]),
        "subjects": int(predictions["identity"].nunique()),
    }


def _keep(
    place: Place, outer: Sweep, document: Mapping[str, Any], predictions: pd.DataFrame
) -> Path:
    """Write the document and the predictions beside those of the settings."""
    keys = sorted(candidate.setting.key for candidate in outer.candidates)
    name = f"selected-{fingerprint(keys, document['validation'])[:8]}"
    catalog = place.context(outer.candidates[0].given).catalog
    reports, outputs = (
        path_of(catalog, f"{outer.protocol}.{entry}").parent.parent / name
        for entry in ("metrics", "predictions")
    )
    with replacing(outputs / "predictions.parquet") as beside:
        tables.write(predictions, beside)
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
    interval, seeds, sd = document["mae_interval"], document["seeds"], document["seed_sd"]
    spread = "" if interval is None else f" (95% {interval[0]:.2f} to {interval[1]:.2f})"
    luck = "one seed" if sd is None else f"mean of {len(seeds)} seeds, SD {sd:.2f}"
    print_line(f"MAE on the test parts: {document['mae']:.2f} years{spread}, {luck}")
    print_line(f"Kept in {folder}")
