"""Predictions that were made elsewhere, on the test photos of a protocol.

Nothing is known here of how they were made: they are measured and compared as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.evaluation.comparison import Comparison, compare
from contrastive_age.evaluation.metrics import first_few
from contrastive_age.protocols.parts import ever_tested
from contrastive_age.sources import delimited
from contrastive_age.sources.ages import AGE_MAX
from contrastive_age.sources.names import SEVERAL, find

MISSING = "without a prediction"
UNKNOWN = "not among the test photos"
UNCLEAR = "with a name that fits several photos"
UNREADABLE = "with an age that cannot be read"
IMPOSSIBLE = "with an age that nobody has"
CONTRADICTING = "given more than once, with different ages"
REPEATED = "given again, with the same age, which counts once"
"""Of what was given or is lacking: why a row does not count, or a photo has no prediction."""

_LOWEST = -20
"""In years. A regression may fall short of 0 for the youngest; further down it is a mistake."""

_CALLED = {
    "sample_id": {"id", "sample", "image", "imageid", "file", "filename", "path", "photo", "name"},
    "predicted_age": {"age", "prediction", "predicted", "pred", "predage", "agepred", "estimate"},
}


@dataclass(frozen=True, eq=False)
class Brought:
    """What a table of predictions gives.

    Attributes:
        predictions: `sample_id, identity, fold, age, predicted_age` in years, a row a test photo
            that has a prediction, in the order of the folds.
        renamed: Of photos that were found under another spelling of their name, their number `n`
            and the `first` in words; empty where there are none.
        left_out: `problem, sample_id, row` (the line of their file; missing where the photo has
            none) and `predicted_age` (as it is written), a row for everything that does not count.
    """

    predictions: pd.DataFrame
    renamed: dict[str, Any]
    left_out: pd.DataFrame

    @property
    def problems(self) -> dict[str, dict[str, Any]]:
        """By problem the number of names that have it, `n`, and the `first` few in words.

        Of rows without a name each counts.
        """
        by_problem = self.left_out.groupby("problem", sort=False)["sample_id"]
        return {str(problem): _counted(names) for problem, names in by_problem}


def read(path: Path) -> pd.DataFrame:
    """Read a table of predictions, see `sources.delimited.read`.

    Returns:
        `sample_id` and `predicted_age` as they are written, `row` and `surplus`.

    Raises:
        DataError: The file is missing, is no text, or lacks rows or one of the two columns.
    """
    return delimited.read(path, ("sample_id", "predicted_age"), _CALLED)


def match(table: pd.DataFrame, folds: pd.DataFrame, samples: pd.DataFrame) -> Brought:
    """Find the test photos of predictions.

    Names are found as those of split lists are (`sources.names.find`). A photo that is given more
    than once counts where all its ages are the same. Ages that nobody has are as none.

    Args:
        table: As `read` gives it. A comma in an age is a decimal one.
        folds: The protocol's `sample_id, identity, age, fold`. Photos that only train count as
            unknown.
        samples: The source's `sample_id`, with photos that are in no fold: what means one of them
            is not taken for another.

    Raises:
        DataError: No test photo has a prediction.
    """
    written = table["predicted_age"].str.replace(",", ".", regex=False)
    folds = folds.reset_index(drop=True)
    years = pd.to_numeric(written, errors="coerce").where(~table["surplus"])
    elsewhere = samples.loc[~samples["sample_id"].isin(folds["sample_id"]), "sample_id"]
    photo, _ = find(table["sample_id"], pd.concat([folds["sample_id"], elsewhere]))
    given = table[["sample_id", "row", "predicted_age"]].assign(
        years=years, photo=photo, problem=""
    )
    readable = np.isfinite(given["years"].to_numpy(np.float64))
    given.loc[~given["years"].between(_LOWEST, AGE_MAX), "problem"] = IMPOSSIBLE
    given.loc[~readable, "problem"] = UNREADABLE
    tested = ever_tested(folds).index
    given.loc[~np.isin(photo, tested), "problem"] = UNKNOWN
    given.loc[photo == SEVERAL, "problem"] = UNCLEAR
    usable = given[given["problem"] == ""].groupby("photo")["years"]
    again, different = usable.cumcount() > 0, usable.transform("nunique") > 1
    given.loc[again.index[again], "problem"] = REPEATED
    given.loc[different.index[different], "problem"] = CONTRADICTING
    counted = given[given["problem"] == ""].set_index("photo")["years"]
    predictions = folds.loc[tested, ["sample_id", "identity", "fold", "age"]]
    predictions["predicted_age"] = counted.reindex(tested)
    lacking = predictions.loc[~predictions.index.isin(photo), ["sample_id"]]
    left_out = pd.concat(
        [lacking.assign(problem=MISSING), given[given["problem"] != ""]], ignore_index=True
    )
    predictions = predictions.dropna(subset="predicted_age").reset_index(drop=True)
    if predictions.empty:
        raise DataError(
            f"none of the {len(table)} rows has an age of one of the {len(tested)} test photos: "
            f"the rows are of {first_few(table['sample_id'].tolist())}; the photos are called "
            f"{first_few(folds.loc[tested, 'sample_id'].tolist())}"
        )
    columns = ["problem", "sample_id", "row", "predicted_age"]
    left_out = left_out.reindex(columns=columns).astype({"row": "Int64"})
    return Brought(predictions, _renamed(given[given["problem"] == ""], folds), left_out)


def against(ours: Mapping[int, pd.DataFrame], theirs: pd.DataFrame) -> Comparison:
    """Compare a setting with predictions that were brought, on the photos that these have.

    Theirs are taken as they are: the same errors stand beside those of each of our seeds, so that
    the interval is over subjects and our networks. How another training of theirs would err, one
    file cannot tell.

    Args:
        ours: By seed `sample_id, identity, fold, age, predicted_age` of at least these photos.
        theirs: The same columns.

    Returns:
        The difference is our MAE minus theirs; seeds of the reference say nothing.

    Raises:
        DataError: We lack one of their photos, or have another age or identity of it.
    """
    common = {
        seed: table[table["sample_id"].isin(theirs["sample_id"])] for seed, table in ours.items()
    }
    return compare(common, dict.fromkeys(common, theirs))


def _renamed(given: pd.DataFrame, folds: pd.DataFrame) -> dict[str, Any]:
    """How many photos were found under another spelling, and the first."""
    names = folds["sample_id"].loc[given["photo"]].to_numpy()
    written = given["sample_id"].to_numpy()
    others = np.flatnonzero(names != written)
    if not len(others):
        return {}
    return {"n": len(others), "first": f"{names[others[0]]} as {written[others[0]]}"}


def _counted(names: pd.Series) -> dict[str, Any]:
    """How many names there are, and the first few of them; those that are empty by their number."""
    named = list(names[names != ""].unique())
    unnamed = int((names == "").sum())
    words = [first_few(named)] if named else []
    words += [f"{unnamed:,} without a name"] if unnamed else []
    return {"n": len(named) + unnamed, "first": ", ".join(words)}
