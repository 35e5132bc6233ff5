"""What holds for any split list, be it one's own or as others have published it."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.protocols.copies import Ints

_SHOWN = 5


def refuse(offenders: npt.NDArray[np.object_], path: Path, what: str, remedy: str) -> None:
    """Refuse a list for some of its values, of which it names the first few.

    Args:
        offenders: The values, str.
        path: The list.
        what: They are, in the plural.
        remedy: What to do with them.

    Raises:
        DataError: There are any.
    """
    if len(offenders):
        # A name may hold line breaks.
        shown = ", ".join(" ".join(name.split()) for name in offenders[:_SHOWN])
        more = ", ..." if len(offenders) > _SHOWN else ""
        raise DataError(f"{path}: {len(offenders)} {what} ({shown}{more}): {remedy}")


def refuse_surplus(table: pd.DataFrame, names: str, path: Path) -> None:
    """Refuse rows whose values cannot be told apart.

    Args:
        table: As `delimited.read` gives it.
        names: Its column of names.
        path: The list.

    Raises:
        DataError: A row has more values than the header.
    """
    damaged = table[names][table["surplus"]].to_numpy()
    refuse(damaged, path, "rows with more values than columns", "correct them")


def fold_numbers(column: "pd.Series[str]", path: Path) -> Ints:
    """Read a list's folds.

    Args:
        column: Of the list, (N,).
        path: The list.

    Returns:
        Numbers from 0, (N,).

    Raises:
        DataError: They are not numbered 0..K-1 or 1..K without gaps, or are fewer than two.
    """
    # Programs that know no missing whole numbers write 1 as 1.0, and some of them as 1,0.
    numbers = column.str.extract(r"^([0-9]{1,9})(?:[.,]0*)?\Z")[0]
    wrong = column[numbers.isna()].to_numpy()
    refuse(wrong, path, "folds that are no whole number", "number the folds 0..K-1 or 1..K")
    fold: Ints = numbers.to_numpy().astype(np.int64)
    present = np.unique(fold)
    if len(present) < 2 or present[0] > 1 or present[-1] - present[0] + 1 != len(present):
        shown = ", ".join(map(str, present[:_SHOWN])) + (", ..." if len(present) > _SHOWN else "")
        raise DataError(
            f"{path}: the folds are numbered {shown}; number at least two folds without gaps, "
            "0..K-1 or 1..K"
        )
    numbered: Ints = fold - present[0]
    return numbered
