"""What trains and what is tested in a fold, with or without an inner validation part.

Folds may carry copies that must not be on both sides: `attrs["copies"]` is then a JSON list of
groups, each a list of `sample_id`s of photos that are one. It is text, so that pandas, which copies
attributes with every table, copies no lists.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.protocols import copies
from contrastive_age.protocols.copies import Ints, firsts, linked

Mask = npt.NDArray[np.bool_]

COPIES = "copies"
HELD_OUT = 0.1
"""The share of a training part that `held_out` chooses."""

TRAINS = -1
"""In the place of the fold, of samples that only train: those of another source, in a transfer."""


class Parts(NamedTuple):
    """Rows of the folds table, in its order: those that train, and those that are predicted."""

    training: pd.DataFrame
    tested: pd.DataFrame


def parts(folds: pd.DataFrame, fold: int, validation: float | None = None, seed: int = 0) -> Parts:
    """Give the parts of one fold.

    Without `validation`, the fold's own rows are tested. All others train but copies of them. With
    it, the fold's rows and their copies take part in nothing: of the others, a share of the
    subjects is predicted in their place, and the rest train. Those subjects are in neither the
    training nor the test part, so what is chosen on them was not chosen on the test part. Subjects
    that copies link count as one.

    Args:
        folds: The folds table, perhaps with copies (`keep_apart`).
        fold: The fold that is tested.
        validation: Share of the subjects without a test image, above 0 and below 1.
        seed: Chooses them, with the fold's number.

    Returns:
        The training and the tested part.

    Raises:
        DataError: Fewer than two subjects could be validated on or trained with.
    """
    group = _copies_of(folds)
    tested = folds["fold"].to_numpy() == fold
    trains = ~np.isin(group, group[tested])
    if validation is None:
        return Parts(folds[trains], folds[tested])
    subject = linked(folds["identity"], group)
    free = np.setdiff1d(subject[trains], subject[tested])
    number = max(1, round(validation * len(free)))
    if len(free) - number < 2:
        raise DataError(
            f"fold {fold}: only {len(free)} subjects have no image in the test part, too few to "
            f"hold out {validation:.0%} of them for validation; use more subjects, or lower "
            "protocols.<protocol>.folds"
        )
    chosen = np.random.default_rng([seed, fold]).choice(free, number, replace=False)
    held_out = np.isin(subject, chosen)
    return Parts(folds[trains & ~held_out], folds[trains & held_out])


def ever_tested(folds: pd.DataFrame) -> pd.DataFrame:
    """Give the rows of the folds table that a fold tests: all but those that only train."""
    return folds[folds["fold"] != TRAINS]


def held_out(
    training: pd.DataFrame,
    by: Literal["people", "images"] | None,
    seed: int,
    most_bits: int = copies.MOST_BITS,
) -> Mask:
    """Choose a tenth of a training part to validate on while the rest trains.

    Args:
        training: `identity` of n rows, and by what their photos are known again (`digest, look,
            mirrored`): a training part may hold copies whether or not they are kept apart from
            tested images.
        by: `people` holds a tenth of the subjects out; those that copies link count as one.
            `images` holds a tenth of the images out, whoever is on them, so that most of those
            people are trained on, too. None holds nobody out.
        seed: Chooses them.
        most_bits: See `copies.find_copies`.

    Returns:
        Whether a row is held out, (n,).

    Raises:
        DataError: There are too few to hold one out, and to train on two.
    """
    if by is None:
        return np.zeros(len(training), np.bool_)
    group = np.arange(len(training))
    if by == "people":
        pairs = copies.find_copies(copies.Photos.of_table(training), most_bits)
        group = linked(training["identity"], copies.group(pairs, len(training)))
    known = np.unique(group)
    number = max(1, round(HELD_OUT * len(known)))
    if len(known) - number < 2:
        raise DataError(
            f"only {len(known)} {by} train, too few to hold {number} of them out: leave "
            "training.validated_on at null, or use more of them"
        )
    chosen = np.random.default_rng(seed).choice(known, number, replace=False)
    return np.isin(group, chosen)


def keep_apart(folds: pd.DataFrame, group: Ints) -> pd.DataFrame:
    """Have `parts` keep copies of tested images out of training.

    Args:
        folds: The folds table, n rows.
        group: The smallest row of each row's group of copies, (n,).

    Returns:
        The same table with the groups in `attrs["copies"]`.
    """
    several = np.bincount(group, minlength=len(group))[group] > 1
    names = folds["sample_id"][several].groupby(group[several], sort=True).agg(list)
    table = folds.copy(deep=False)
    table.attrs[COPIES] = json.dumps(names.tolist())
    return table


def together(of_sources: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the samples of several sources into one table, as a training part without a test part.

    Args:
        of_sources: Tables with `sample_id` and `identity` by the names of their sources.

    Returns:
        All rows in the order of the sources, with their `source`, whose name the names of samples
        and identities begin with.
    """
    return pd.concat(
        [
            table.assign(
                source=source,
                sample_id=f"{source}/" + table["sample_id"],
                identity=f"{source}/" + table["identity"],
            )
            for source, table in of_sources.items()
        ],
        ignore_index=True,
    )


def named_apart(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Give the rows that `together` took from a source, with the names that they have there."""
    begin = f"{source}/"
    mine = table[table["sample_id"].str.startswith(begin)]
    return mine.assign(sample_id=mine["sample_id"].str.removeprefix(begin))


def constant_ages(of_folds: Iterable[Parts]) -> dict[int, float]:
    """The median age in years of each training part, by the fold, from the first."""
    return {fold: float(part.training["age"].median()) for fold, part in enumerate(of_folds)}


def _copies_of(folds: pd.DataFrame) -> Ints:
    """Give the first row of each row's group of copies that are to be kept apart, (n,)."""
    listed = enumerate(json.loads(folds.attrs.get(COPIES, "[]")))
    group_of = {name: number for number, names in listed for name in names}
    group = folds["sample_id"].map(group_of).to_numpy(float)
    alone = -1 - np.arange(len(folds))
    return firsts(np.where(np.isnan(group), alone, group))
