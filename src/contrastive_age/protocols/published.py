"""Split lists as others have published them, each read as it is shipped.

A list is known by its header. Where it says which photos train and which are tested, and no folds,
the tested ones are the one fold, and all others, those for validation with them, only train.
"""

import csv
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.protocols.listed import fold_numbers, refuse_surplus
from contrastive_age.protocols.parts import TRAINS
from contrastive_age.sources import delimited
from contrastive_age.sources.names import folded

logger = logging.getLogger(__name__)

CORAL_YOUNGEST = 16
"""Years of CORAL's class 0 of MORPH II."""

_TESTED = "test"
_SPLITS = {"train": TRAINS, "valid": TRAINS, "val": TRAINS, _TESTED: 0}
_TEST_LIST = re.compile(f"(.*){_TESTED}(.*)", re.IGNORECASE | re.DOTALL)
"""The name of a list of tested photos: what stands before the last `test` in it, and behind it."""


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
    refuse_surplus(table, "filename", path)
    folds = pd.Series(fold_numbers(table["fold"], path))
    return _listed(table["filename"], folds, _whole(table["age"], path, "age"))


def _read_coral(path: Path) -> pd.DataFrame:
    """Read CORAL's lists, a file each of those that train, validate and are tested."""
    name = _TEST_LIST.fullmatch(path.name)
    if name is None:
        raise DataError(
            f"{path} does not say whether its photos train or are tested: let splitting.folds_file "
            "name the list of those that are tested (such as morph2_test.csv), with the others "
            "(morph2_train.csv, morph2_valid.csv) beside it"
        )
    named = {kind: path.with_name(kind.join(name.groups())) for kind in _SPLITS}
    files = {kind: path if kind == _TESTED else _called(named[kind]) for kind in _SPLITS}
    if files["train"] is None:
        raise DataError(
            f"{named['train']}: no such file; it lists those that train beside {path.name}"
        )
    if files["valid"] is not None and files["val"] is not None:
        raise DataError(
            f"{files['valid']} and {files['val'].name} both list those for validation beside "
            f"{path.name}: remove one of them"
        )
    return pd.concat(
        [_read_kind(file, _SPLITS[kind]) for kind, file in files.items() if file is not None],
        ignore_index=True,
    )


def _read_kind(path: Path, fold: int) -> pd.DataFrame:
    """Read one of CORAL's lists, all of whose photos are of a fold, or train.

    The names stand in a column `file`, or else in the first one, which has no name. `age` is the
    class, which is 0 for 16 years.
    """
    table = delimited.read(path, ("age",), unnamed="index")
    names = "file" if "file" in table else "index"
    refuse_surplus(table, names, path)
    return _listed(table[names], fold, CORAL_YOUNGEST + _whole(table["age"], path, "age"))


def _called(path: Path) -> Path | None:
    """Find a file, in another case or Unicode form where none is called as is written."""
    if path.exists():
        return path
    try:
        beside = sorted(path.parent.iterdir())
    except OSError:  # A folder may let files be read and not be listed.
        return None
    alike = [file for file in beside if folded(file.name) == folded(path.name)]
    if len(alike) > 1:
        names = " and ".join(file.name for file in alike)
        raise DataError(f"{path.parent} has no {path.name}, but {names}: rename one of them to it")
    return alike[0] if alike else None


def _read_agedb(path: Path) -> pd.DataFrame:
    """Read AgeDB's list of imbalanced regression: `age`, `path`, `split` (train, val or test)."""
    table = delimited.read(path, ("age", "path", "split"))
    refuse_surplus(table, "path", path)
    unknown = table["split"][~table["split"].isin(list(_SPLITS))]
    if len(unknown):
        raise DataError(
            f"{path}: {len(unknown)} rows have a split that is none of {', '.join(_SPLITS)}, the "
            f"first is {unknown.iloc[0]!r}; replace the list"
        )
    if not table["split"].eq(_TESTED).any():
        raise DataError(
            f"{path}: none of its {len(table)} rows is tested; give a list in which the split of "
            f"some is {_TESTED}"
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
