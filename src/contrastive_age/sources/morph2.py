"""MORPH II (Album 2): labels in the file names; race and dates in a table where it is present.

Layout: `Album2/009055_0M54.JPG` is picture 0 of identity 009055, male, at age 54. Beside `Album2`
may lie `morph_2008_nonCommercial.csv` with the columns `id_num, picture_num, dob, doa, race,
gender, facial_hair, age, age_diff, glasses, photo`. Its entries are of the files that are called as
`photo`, whatever the folder, case and suffix. Identity, picture number, sex and age are those of
the file's name; where the table has others, the audit lists them.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from contrastive_age.sources import delimited, labels, reading
from contrastive_age.sources.names import without_suffix

PHOTOS = "Album2"
"""The folder that holds the photos."""

MAX_SPAN = 6
"""Years between an identity's youngest and oldest picture above which the audit lists it.

The pictures were taken within about five years, so a longer span speaks of a wrong label.
"""

TABLE_NAME = "morph_2008_nonCommercial.csv"

_NAME = r"(?P<identity>\d+)_(?P<capture>\d{1,9})(?P<sex>[FM])(?P<age>\d{2,3})"
_EXPECTED = "<identity>_<picture><F or M><age>, such as 009055_0M54.JPG"
_MISSING = (
    "MORPH II belongs there: Album2/ with files such as 009055_0M54.JPG (identity, picture number, "
    f"sex, age) and, beside it, the optional table {TABLE_NAME}. The data set needs a licence: "
    "apply to the University of North Carolina Wilmington (UNCW), then place Album2/ in the folder "
    "morph2 below raw_root."
)
_DATE_FORMATS = (
    "%m/%d/%Y", "%d/%m/%Y", "%Y-%m-%d", "%m/%d/%y", "%d/%m/%y", "%d-%b-%Y", "%d-%b-%y",
    "%Y/%m/%d", "%d.%m.%Y", "%m-%d-%Y", "%Y%m%d",
)  # fmt: skip
# The pictures are of 2003 to 2007, so a year of two digits past this is one of the last century.
_LAST_SHORT_YEAR = 2010


def list_images(folder: Path) -> list[str]:
    """List the images below `folder/Album2`, sorted, relative to `folder`.

    Raises:
        DataError: The folder is missing or holds no image.
    """
    return reading.list_images(folder, reading.subfolder(folder, PHOTOS), _MISSING)


def read(folder: Path, files: pd.DataFrame) -> reading.Reading:
    """Make the samples table from the names of the images, and the race from the table if present.

    Args:
        folder: The folder that holds `Album2`.
        files: As `reading.inspect_files` gives it for `list_images(folder)`.

    Returns:
        Samples with `identity` (six digits), `age` in years, `sex`, `capture` (the picture number)
        and, with the table, `race` as the table spells it. Rejected are also the table's entries
        without a file, without a photo, with more values than columns, or of a photo for which an
        entry stands above.

    Raises:
        DataError: Not one image can be used, or the table is damaged.
    """
    names, unusable = reading.parse_names(files, _NAME, _EXPECTED)
    rows = names.assign(
        identity=names["identity"].str.zfill(6),
        sex=names["sex"].str.upper(),
        capture=names["capture"].astype("int64"),
    )
    rejected = [unusable, reading.passed_over(folder, reading.subfolder(folder, PHOTOS))]
    table = _read_table(folder)
    if table is not None:
        faults = _faults(table, files["path"])
        where = " (row " + table["row"].astype("str") + ")"
        bad = faults != ""
        rejected.append(reading.rejections(table.loc[bad, "photo"], faults[bad] + where[bad]))
        if "race" in table:
            known = table.loc[table["race"] != "", "race"]
            rows["race"] = _entries(table, rows["path"]).map(known).astype("str")
    return reading.finish(rows, rejected, str(folder.absolute()))


def read_table(folder: Path, samples: pd.DataFrame) -> pd.DataFrame | None:
    """Read what the table says of the samples, which the audit holds against them.

    Args:
        folder: The folder that holds the table.
        samples: The samples table.

    Returns:
        `sample_id` and, of those columns that the table has, `identity`, `capture`, `sex` and `age`
        (str, spelled as the samples' are, "" where there is none), `dob` and `doa` (datetime64, the
        dates of birth and of the picture, missing where they cannot be read); one row for each
        sample that the table lists. None without a table.
    """
    table = _read_table(folder)
    if table is None:
        return None
    said = {
        name: spell(table[column]) for column, (name, spell) in _COLUMNS.items() if column in table
    }
    entries = _entries(table, samples["path"]).dropna()
    listed = pd.DataFrame(said, index=table.index).loc[entries].set_axis(entries.index)
    listed.insert(0, "sample_id", samples.loc[entries.index, "sample_id"])
    return listed.reset_index(drop=True)


def parse_dates(texts: pd.Series) -> pd.Series:
    """Read dates written in one of several usual ways.

    Whether the day or the month comes first is decided by the whole column: the way in which more
    of it can be read goes first, months first where both are equal.

    Args:
        texts: Dates as text, perhaps followed by a time of day.

    Returns:
        datetime64 with the same index, missing where no way fits.
    """
    days = texts.str.split(r"[ T]", n=1, regex=True).str[0]
    readings = (_parse(days, way) for way in _DATE_FORMATS)
    best_first = sorted(readings, key=lambda dates: dates.isna().sum())
    return functools.reduce(pd.Series.fillna, best_first)


def _parse(days: pd.Series, way: str) -> pd.Series:
    dates = pd.to_datetime(days, format=way, errors="coerce")
    if "%y" in way:
        dates = dates.mask(dates.dt.year > _LAST_SHORT_YEAR, dates - pd.DateOffset(years=100))
    return dates


def _number(texts: pd.Series) -> pd.Series:
    """Spell whole numbers alike that programs write with zeros before or behind."""
    return texts.str.replace(r"[.,]0*$", "", regex=True).str.replace(r"^0+(?=.)", "", regex=True)


_COLUMNS: dict[str, tuple[str, Callable[[pd.Series], pd.Series]]] = {
    "id_num": ("identity", lambda texts: _number(texts).str.zfill(6).mask(texts == "", "")),
    "picture_num": ("capture", _number),
    "gender": ("sex", lambda texts: labels.sexes(texts).fillna(texts)),
    "age": ("age", _number),
    "dob": ("dob", parse_dates),
    "doa": ("doa", parse_dates),
}
"""The table's columns that are held against the samples, under the samples' names."""


def _match_key(paths: pd.Series) -> pd.Series:
    """Give what a file and its entry have in common: the name, which is no other picture's."""
    return without_suffix(paths.str.replace("\\", "/")).str.rsplit("/", n=1).str[-1].str.lower()


def _read_table(folder: Path) -> pd.DataFrame | None:
    tables = sorted(path for path in folder.iterdir() if path.name.lower() == TABLE_NAME.lower())
    return delimited.read(tables[0], needed=("photo",)) if tables else None


def _faults(table: pd.DataFrame, paths: pd.Series) -> pd.Series:
    """Say of each entry why it counts for no file, "" where it counts for one of the paths."""
    keys = _match_key(table["photo"])
    faults = pd.Series("", index=table.index, dtype="str")
    faults[~keys.isin(_match_key(paths))] = "the table lists it, but there is no such file"
    faults[table["photo"] == ""] = "the table's entry names no photo"
    faults[table["surplus"]] = "the table's entry has more values than columns"
    again = keys.where(faults == "").duplicated() & (faults == "")
    faults[again] = "the table lists it again; the first entry counts"
    return faults


def _entries(table: pd.DataFrame, paths: pd.Series) -> pd.Series:
    """Give the index of each path's entry in the table, missing where there is none."""
    good = table[_faults(table, paths) == ""]
    return _match_key(paths).map(pd.Series(good.index, index=_match_key(good["photo"])))
