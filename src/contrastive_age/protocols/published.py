"""Split lists as others have published them, each read as it is shipped.

A list is known by its header. Where it says which photos train and which are tested, and no folds,
the tested ones are the one fold, and all others, those for validation with them, only train.
"""

import csv
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.protocols.parts import TRAINS
from contrastive_age.sources import delimited

logger = logging.getLogger(__name__)

CORAL_YOUNGEST = 16
"""Years of CORAL's class 0 of MORPH II."""

_TESTED = "test"
_SPLITS = {"train": TRAINS, "valid": TRAINS, "val": TRAINS, _TESTED: 0}


@dataclass(frozen=True)
class Published:
    """A layout in which a split list is shipped.

    Attributes:
        title: What it is called in the terminal.
        fits: Whether a header, its names in lower case, is that of the layout.
        read: Gives of each row `name` (str, as it is written), `fold` and `age` (int64, years).
    """

    title: str
    fits: Callable[[list[str]], bool]
    read: Callable[[Path], pd.DataFrame]


def read(path: Path) -> pd.DataFrame | None:
    """Read a split list that is laid out as one of `LISTS`, and say in the terminal as which.

    Args:
        path: The list; of one that is shipped as several files, that of the tested photos.

    Returns:
        As `Published.read`; the fold in which a photo is tested, numbered from 0, or
        `parts.TRAINS`. None for a list of any other layout.

    Raises:
        DataError: It cannot be read, or a fold or an age is none.
    """
    header = _header(path)
    layout = next((layout for layout in LISTS if layout.fits(header)), None)
    if layout is None:
        return None
    listed = layout.read(path)
    trains = int((listed["fold"] == TRAINS).sum())
    logger.info(
        "%s is %s: %s photos are tested%s",
        path.name,
        layout.title,
        f"{len(listed) - trains:,}",
        f", {trains:,} others train" if trains else f" in {listed['fold'].nunique()} folds",
    )
    return listed


def _header(path: Path) -> list[str]:
    """The names of a list's columns as it is shipped; of a file that cannot be read, none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline()
    except (OSError, UnicodeDecodeError):
        return []  # The reader of any list says why.
    separator = "\t" if "\t" in line else ","
    return [name.strip().lower() for name in next(csv.reader([line], delimiter=separator), [])]


def _read_morph(path: Path) -> pd.DataFrame:
    """Read a list of MORPH II: `filename`, `fold`, `age` and `database`, apart by tabs."""
    table = delimited.read(path, ("filename", "fold", "age"))
    folds = _whole(table["fold"], path, "fold")
    return _listed(table["filename"], folds - folds.min(), _whole(table["age"], path, "age"))


def _read_coral(path: Path) -> pd.DataFrame:
    """Read CORAL's lists, a file each of those that train, validate and are tested.

    The names stand in a column `file`, or else in the first one, which has no name. `age` is the
    class, which is 0 for 16 years.
    """
    if _TESTED not in path.name:
        raise DataError(
            f"{path} does not say whether its photos train or are tested: let splitting.folds_file "
            "name the list of those that are tested (such as morph2_test.csv), with the others "
            "(morph2_train.csv, morph2_valid.csv) beside it"
        )
    parts = []
    for kind, fold in _SPLITS.items():
        file = path.with_name(path.name.replace(_TESTED, kind))
        if file.exists():
            table = delimited.read(file, ("age",), unnamed="index")
            names = table["file" if "file" in table else "index"]
            parts.append(_listed(names, fold, CORAL_YOUNGEST + _whole(table["age"], file, "age")))
        elif kind == "train":
            raise DataError(f"{file}: no such file; it lists those that train beside {path.name}")
    return pd.concat(parts, ignore_index=True)


def _read_agedb(path: Path) -> pd.DataFrame:
    """Read AgeDB's list of imbalanced regression: `age`, `path`, `split` (train, val or test)."""
    table = delimited.read(path, ("age", "path", "split"))
    unknown = table["split"][~table["split"].isin(list(_SPLITS))]
    if len(unknown):
        raise DataError(
            f"{path}: {len(unknown)} rows have a split that is none of {', '.join(_SPLITS)}, the "
            f"first is {unknown.iloc[0]!r}; replace the list"
        )
    return _listed(table["path"], table["split"].map(_SPLITS), _whole(table["age"], path, "age"))


def _listed(names: pd.Series, fold: pd.Series | int, age: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"name": names, "fold": fold, "age": age}).astype(
        {"fold": "int64", "age": "int64"}
    )


def _whole(column: pd.Series, path: Path, what: str) -> pd.Series:
    numbers = column.str.extract(r"^([0-9]{1,9})(?:\.0*)?\Z")[0]
    wrong = column[numbers.isna()]
    if len(wrong):
        raise DataError(
            f"{path}: {len(wrong)} rows have no whole number as {what}, the first has "
            f"{wrong.iloc[0]!r}; replace the list"
        )
    return numbers.astype("int64")


LISTS = (
    Published(
        "the subject-exclusive list of MORPH II (database, filename, fold, age)",
        lambda header: header == ["database", "filename", "fold", "age"],
        _read_morph,
    ),
    Published(
        "the random list of MORPH II (filename, fold, age, database)",
        lambda header: header == ["filename", "fold", "age", "database"],
        _read_morph,
    ),
    Published(
        "CORAL's list of MORPH II (an index, age counted from 16)",
        lambda header: header[:1] == [""] and "age" in header and "fold" not in header,
        _read_coral,
    ),
    Published(
        "AgeDB's list of imbalanced regression (age, path, split)",
        lambda header: header == ["age", "path", "split"],
        _read_agedb,
    ),
)
"""All that are known, in the order in which they are tried."""
