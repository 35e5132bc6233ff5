"""The predictions of several seeds of one setting, laid side by side.

Several seeds of one setting are several tables of the same samples. Errors are in years.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.evaluation.metrics import Ints, first_few, signed_errors

Tables = pd.DataFrame | Sequence[pd.DataFrame]
"""The predictions of one seed, or those of several seeds of one setting."""


def average_over_seeds(tables: Tables) -> pd.DataFrame:
    """Average the errors of each image over the seeds of a setting.

    The errors are averaged and not the predictions: a mean prediction would be another model, an
    ensemble, whose error is smaller than that of any one network.

    Args:
        tables: The predictions of each seed, in any order of rows.

    Returns:
        `sample_id, identity, fold, age` of the first table, in its order, and in years `error`
        (mean of predicted minus true age) and `absolute_error` (mean of its size).

    Raises:
        DataError: There are no predictions, or the seeds hold other samples.
        ValueError: A prediction or an age is not finite.
    """
    aligned = align_seeds(tables)
    errors = np.stack([signed_errors(table) for table in aligned])
    return aligned[0][["sample_id", "identity", "fold", "age"]].assign(
        error=errors.mean(axis=0), absolute_error=np.abs(errors).mean(axis=0)
    )


def align_seeds(tables: Tables) -> list[pd.DataFrame]:
    """Bring the predictions of all seeds into the order of the first, with rows numbered from 0.

    Raises:
        DataError: There are no predictions, or the tables hold other samples.
    """
    listed = [tables] if isinstance(tables, pd.DataFrame) else list(tables)
    if not listed or listed[0].empty:
        raise DataError("there are no predictions to judge; train and evaluate a fold first")
    first = listed[0].reset_index(drop=True)
    others = [in_order_of(first, table, "two seeds") for table in listed[1:]]
    return [first, *others]


def match_samples(first: pd.Series, second: pd.Series, what: str) -> Ints:
    """Find the samples of one table in another that must hold the same ones.

    Args:
        first: `sample_id` of one table, shape (n,).
        second: `sample_id` of the other.
        what: The two tables, for the message.

    Returns:
        For each row of the first its row in the second, int64 (n,).

    Raises:
        DataError: A sample is in one table only, or twice in one.
    """
    ours, theirs = pd.Index(first), pd.Index(second)
    for ids in (ours, theirs):
        if not ids.is_unique:
            twice = ids[ids.duplicated()].unique()
            raise DataError(
                f"{what} cannot be laid side by side: {len(twice)} samples stand in one of them "
                f"more than once ({first_few(twice)}); give each sample's prediction once"
            )
    rows: Ints = theirs.get_indexer(ours)
    if len(ours) != len(theirs) or (rows < 0).any():
        differing = ours.symmetric_difference(theirs, sort=False)
        raise DataError(
            f"{what} do not hold the same samples: {len(differing)} are in one of them only "
            f"({first_few(differing)}); compare runs of the same protocol, folds and max_samples"
        )
    return rows


def in_order_of(first: pd.DataFrame, other: pd.DataFrame, what: str) -> pd.DataFrame:
    """Bring one table into the order of another that holds the same samples.

    Args:
        first: `sample_id, identity, age`, rows numbered from 0.
        other: The same samples.
        what: The two tables, for the message.

    Raises:
        DataError: They hold other samples, identities or ages.
    """
    rows = match_samples(first["sample_id"], other["sample_id"], what)
    ordered = other.iloc[rows].reset_index(drop=True)
    for column in ("identity", "age"):
        wrong = ordered[column].to_numpy() != first[column].to_numpy()
        if wrong.any():
            raise DataError(
                f"{what} disagree about the {column} of {wrong.sum()} samples "
                f"({first_few(first['sample_id'][wrong].tolist())}); "
                "both must come from the same labels"
            )
    return ordered
