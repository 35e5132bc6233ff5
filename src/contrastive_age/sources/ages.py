"""Ages that people have, and the paper's bins of them."""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError

AGE_MIN = 0
AGE_MAX = 120
"""The range of ages, in years, that a source may hold; the classes of a protocol are narrower."""

AGE_BINS: dict[str, tuple[float, float]] = {
    "0-19": (0, 20),
    "20-39": (20, 40),
    "40-59": (40, 60),
    "60+": (60, math.inf),
}
"""Names of the paper's age bins and their borders in years, lower included, upper excluded.

The paper prints ">60" for the last; with 60 included its Table 1 matches the data sets exactly.
"""


def age_bin(ages: npt.ArrayLike) -> pd.Categorical:
    """Sort ages into the paper's bins.

    Args:
        ages: Ages in years, shape (n,).

    Returns:
        Ordered categories named as in `AGE_BINS`, all four present, shape (n,).

    Raises:
        DataError: An age is negative or missing.
    """
    years = np.asarray(ages, dtype=np.float64)
    bad = years[~(np.isfinite(years) & (years >= 0))]
    if bad.size:
        raise DataError(
            f"{bad.size} of {years.size} ages are negative or missing (first: {bad[0]}); "
            "ages are whole years from 0, correct or remove these images"
        )
    borders = [AGE_MIN, *(upper for _, upper in AGE_BINS.values())]
    return pd.cut(years, borders, right=False, labels=list(AGE_BINS))
