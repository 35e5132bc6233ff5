"""What trains and what is tested in a fold, with or without an inner validation part."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from contrastive_age.errors import DataError


class Parts(NamedTuple):
    """Rows of the folds table, in its order: those that train, and those that are predicted."""

    training: pd.DataFrame
    tested: pd.DataFrame


def parts(folds: pd.DataFrame, fold: int, validation: float | None = None, seed: int = 0) -> Parts:
    """Give the parts of one fold.

    Without `validation`, the fold's own rows are tested and all others train. With it, the fold's
    rows take part in nothing: of the others, a share of the subjects is predicted in their place,
    and the rest train. Those subjects are in neither the training nor the test part, so what is
    chosen on them was not chosen on the test part.

    Args:
        folds: The folds table.
        fold: The fold that is tested.
        validation: Share of the subjects without a test image, above 0 and below 1.
        seed: Chooses them, with the fold's number.

    Returns:
        The training and the tested part.

    Raises:
        DataError: Fewer than two subjects could be validated on or trained with.
    """
    tested = folds["fold"] == fold
    training, test = folds[~tested], folds[tested]
    if validation is None:
        return Parts(training, test)
    free = np.setdiff1d(training["identity"].unique(), test["identity"].unique())
    number = max(1, round(validation * len(free)))
    if len(free) - number < 2:
        raise DataError(
            f"fold {fold}: only {len(free)} subjects have no image in the test part, too few to "
            f"hold out {validation:.0%} of them for validation; use more subjects or fewer folds"
        )
    chosen = np.random.default_rng([seed, fold]).choice(free, number, replace=False)
    held_out = training["identity"].isin(chosen)
    return Parts(training[~held_out], training[held_out])


def constant_mae(of_folds: Iterable[Parts]) -> float:
    """MAE in years, over all tested rows, of predicting the median age of each training part."""
    errors = [(own.tested["age"] - own.training["age"].median()).abs() for own in of_folds]
    return float(pd.concat(errors).mean())
