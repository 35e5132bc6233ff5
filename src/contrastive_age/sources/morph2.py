"""MORPH II (Album 2): labels in the file names; race and dates in a table where it is present.

Layout: `Album2/009055_0M54.JPG` is picture 0 of identity 009055, male, at age 54. Beside `Album2`
may lie `morph_2008_nonCommercial.csv` with the columns `id_num, picture_num, dob, doa, race,
gender, facial_hair, age, age_diff, glasses, photo`, where `photo` is the path relative to the
table. All names are matched without regard to case.
"""

import functools
import logging
from pathlib import Path

import pandas as pd

from contrastive_age.sources import delimited, reading

logger = logging.getLogger(__name__)

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
        without a file.

    Raises:
        DataError: Not one image can be used, or the table is damaged.
    """
    names, unusable = reading.parse_names(files, _NAME, _EXPECTED)
    rows = names.assign(
        identity=names["identity"].str.zfill(6),
        sex=names["sex"].str.upper(),
        capture=names["capture"].astype("int64"),
    )
    rejected = [unusable, reading.not_images(folder, reading.subfolder(folder, PHOTOS))]
    table = _read_table(folder)
    if table is not None:
        if "race" in table:
            known = table.loc[table["race"] != "", "race"]
            rows["race"] = _match_key(rows["path"]).map(known).astype("str")
        absent = table.loc[~table.index.isin(_match_key(files["path"])), "photo"]
        rejected.append(reading.rejections(absent, "the table lists it, but there is no such file"))
    return reading.finish(rows, rejected, str(folder.absolute()))


def read_dates(folder: Path, samples: pd.DataFrame) -> pd.DataFrame | None:
    """Read the dates of birth and of the picture, which the audit holds against the ages.

    Args:
        folder: The folder that holds the table.
        samples: The samples table.

    Returns:
        `sample_id`, `dob` and `doa` (datetime64, missing where they cannot be read as a date), one
        row for each sample that the table lists; None without a table or without both columns.
    """
    table = _read_table(folder)
    if table is None or not {"dob", "doa"} <= set(table.columns):
        return None
    keys = _match_key(samples["path"])
    listed = samples.loc[keys.isin(table.index), ["sample_id"]]
    for column in ("dob", "doa"):
        listed[column] = keys[listed.index].map(parse_dates(table[column]))
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


def _match_key(paths: pd.Series) -> pd.Series:
    """Bring paths of files and of the table to one spelling."""
    return (
        paths.str.replace("\\", "/", regex=False).str.removeprefix("./").str.lstrip("/").str.lower()
    )


def _read_table(folder: Path) -> pd.DataFrame | None:
    """Read the table, indexed by the match key of `photo`; None where there is none."""
    tables = sorted(path for path in folder.iterdir() if path.name.lower() == TABLE_NAME.lower())
    if not tables:
        return None
    table = delimited.read(tables[0], needed=("photo",))
    broken = table["surplus"] | (table["photo"] == "")
    if broken.any():
        logger.warning(
            "%s: no photo, or more values than columns, in line %s; these entries do not count.",
            tables[0],
            ", ".join(table.loc[broken, "row"].astype("str")),
        )
    table = table[~broken]
    table = table.set_index(_match_key(table["photo"]).rename("key"))
    repeated = table.index.duplicated()
    if repeated.any():
        logger.warning(
            "%s lists %d photos more than once; the first entry counts.", tables[0], repeated.sum()
        )
    return table[~repeated]
