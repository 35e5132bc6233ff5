"""What all raw layouts share: the table of samples, the files behind it, and what was rejected."""

import functools
import hashlib
import io
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from contrastive_age.errors import DataError

if TYPE_CHECKING:
    import pandera.pandas as pa

logger = logging.getLogger(__name__)

AGE_MIN = 0
AGE_MAX = 120
"""The range of ages, in years, that a source may hold; the classes of a protocol are narrower."""

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)

UNREADABLE = "unreadable"
UNPARSED = "name does not parse"
"""How the reasons of the two commonest kinds of rejection begin; the audit counts them apart."""

_NEVER_DATA = frozenset({"thumbs.db", "desktop.ini"})

FILE_TYPES = {
    "path": "str",
    "size": "int64",
    "mtime_ns": "int64",
    "digest": "str",
    "problem": "str",
}


@dataclass(frozen=True, eq=False)
class Reading:
    """What a source holds: the samples that can be used and the files that cannot.

    Attributes:
        samples: One row an image, as `check_samples` describes it.
        rejected: `path` and `reason` (both str), one row for each file or entry that cannot be
            used, sorted by path. Every file found is either in `samples` or here.
    """

    samples: pd.DataFrame
    rejected: pd.DataFrame


def check_samples(samples: pd.DataFrame) -> pd.DataFrame:
    """Check the table of samples against its contract.

    Args:
        samples: `sample_id`, `path` and `identity` (str, not empty; the first two unique), `age`
            (int64, years, 0 to 120) and optionally `sex` ("F" or "M", may be missing), `race` (str,
            may be missing) and `capture` (int64, the picture's number among its identity's).
            Sorted by `sample_id`, index 0 to N-1, no other columns.

    Returns:
        The same table.

    Raises:
        DataError: The table breaks the contract; the message lists every breach.
    """
    import pandera.errors

    try:
        _schema().validate(samples, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        breaches = [
            f"{column if isinstance(column, str) else 'table'}: {check} (for example {case!r})"
            for (column, check), case in cases.groupby(["column", "check"], dropna=False)[
                "failure_case"
            ]
            .first()
            .items()
        ]
        raise DataError(
            "The samples table breaks its contract; read the source again. " + "; ".join(breaches)
        ) from error
    return samples


@functools.cache
def _schema() -> "pa.DataFrameSchema":
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            "sample_id": pa.Column(str, pa.Check.str_length(min_value=1), unique=True),
            "path": pa.Column(str, pa.Check.str_length(min_value=1), unique=True),
            "identity": pa.Column(str, pa.Check.str_length(min_value=1)),
            "age": pa.Column("int64", pa.Check.in_range(AGE_MIN, AGE_MAX)),
            "sex": pa.Column(str, pa.Check.isin(["F", "M"]), nullable=True, required=False),
            "race": pa.Column(str, nullable=True, required=False),
            "capture": pa.Column("int64", pa.Check.ge(0), required=False),
        },
        index=pa.Index("int64"),
        checks=[
            pa.Check(
                lambda table: table["sample_id"].is_monotonic_increasing,
                error="the table is not sorted by sample_id",
            ),
            pa.Check(
                lambda table: table.index.equals(pd.RangeIndex(len(table))),
                error="the index does not run from 0 without gaps",
            ),
        ],
        strict=True,
    )


def walk(folder: Path, below: str = "") -> Iterator[str]:
    """Find all files in `folder/below` and its subfolders, in no particular order.

    Hidden files and the litter of file managers are passed over; links to folders are followed.

    Args:
        folder: The source's folder.
        below: A subfolder of it, or "" for all of it.

    Yields:
        Posix paths relative to `folder`. A name that is not valid Unicode is given with its stray
        bytes escaped, so that it is later listed as a file that cannot be opened.
    """
    for parent, folders, names in os.walk(folder / below, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(parent).relative_to(folder)
        for name in names:
            if not name.startswith(".") and name.lower() not in _NEVER_DATA:
                yield os.fsencode((inside / name).as_posix()).decode("utf-8", "backslashreplace")


def is_image(path: str) -> bool:
    """Whether the suffix of a path is that of an image format."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def list_images(folder: Path, below: str, missing: str) -> list[str]:
    """List the image files in `folder/below`, told by their suffix.

    Args:
        folder: The source's folder.
        below: The subfolder that holds the images, or "".
        missing: What to tell a user who has not placed the data yet: the layout, where to get it.

    Returns:
        Posix paths relative to `folder`, sorted.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    images = sorted(filter(is_image, walk(folder, below)))
    if not images:
        place = folder.absolute() / below
        state = "holds no image files" if place.is_dir() else "does not exist"
        raise DataError(f"The folder {place} {state}. {missing}")
    return images


def subfolder(folder: Path, name: str) -> str:
    """Name the subfolder that is called `name` without regard to case; `name` where none is."""
    if folder.is_dir():
        names = {entry.name.lower(): entry.name for entry in folder.iterdir() if entry.is_dir()}
        return names.get(name.lower(), name)
    return name


def inspect_files(
    folder: Path, paths: list[str], known: pd.DataFrame | None = None, progress: bool = True
) -> pd.DataFrame:
    """Read every file once: its digest, and whether it decodes to the last pixel.

    Args:
        folder: The folder that the paths are relative to.
        paths: The files to read; they need not exist.
        known: An earlier result. Rows whose path, size and time of change still hold, and which had
            no problem, are taken over without reading the file.
        progress: Whether to show a progress bar.

    Returns:
        One row a path, in the order given: `path`, `size` (bytes) and `mtime_ns` (both -1 where the
        file cannot be found), `digest` (SHA-256 of the bytes, hexadecimal; "" where they cannot be
        read) and `problem` ("" where the image decodes).
    """
    found = pd.DataFrame(
        [(path, *_state(folder / path)) for path in paths], columns=["path", "size", "mtime_ns"]
    ).astype({column: FILE_TYPES[column] for column in ("path", "size", "mtime_ns")})
    if known is None:
        found["digest"] = pd.Series(pd.NA, index=found.index, dtype="str")
    else:
        sound = known.loc[known["problem"] == "", ["path", "size", "mtime_ns", "digest"]]
        found = found.merge(
            sound.drop_duplicates("path"), on=["path", "size", "mtime_ns"], how="left"
        )
    found["problem"] = ""
    new = found["digest"].isna()
    if new.any():
        found.loc[new, ["digest", "problem"]] = _inspect_all(
            folder, found.loc[new, "path"].to_list(), progress
        )
    logger.info("Read %d files below %s, %d unchanged.", new.sum(), folder, (~new).sum())
    return found.astype(FILE_TYPES)


def _inspect_all(folder: Path, paths: list[str], progress: bool) -> list[tuple[str, str]]:
    # Decoding and hashing release the interpreter lock, so threads are enough.
    with ThreadPool(min(16, 2 * (os.cpu_count() or 1))) as pool:
        results = pool.imap(_inspect, (folder / path for path in paths), chunksize=8)
        return list(
            tqdm(
                results,
                total=len(paths),
                desc="Reading images",
                disable=not progress,
                unit=" images",
            )
        )


def _state(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


def _inspect(path: Path) -> tuple[str, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        return "", (error.strerror or str(error)).lower()
    return hashlib.sha256(content).hexdigest(), _problem(content)


def _problem(content: bytes) -> str:
    if not content:
        return "the file is empty"
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except UnidentifiedImageError:
        return "the content is no known image format"
    except Exception as error:  # a damaged file can fail anywhere inside a decoder
        return str(error) or type(error).__name__
    return ""


def rejections(paths: Iterable[str], reasons: Iterable[str] | str) -> pd.DataFrame:
    """Make rows of `Reading.rejected`, with one reason for all paths or one for each."""
    table = pd.DataFrame({"path": pd.Series(list(paths), dtype="str")})
    table["reason"] = reasons if isinstance(reasons, str) else pd.Series(list(reasons), dtype="str")
    return table.astype("str")


def unreadable(files: pd.DataFrame) -> pd.DataFrame:
    """List the files that could not be read or decoded as rejections."""
    bad = files[files["problem"] != ""]
    return rejections(bad["path"], f"{UNREADABLE}: " + bad["problem"])


def not_images(folder: Path, below: str) -> pd.DataFrame:
    """List the files among a source's images that have no image suffix as rejections."""
    others = (path for path in walk(folder, below) if not is_image(path))
    return rejections(others, "not an image file, going by its suffix")


def parse_names(
    files: pd.DataFrame, pattern: str, expected: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take the labels from the names of the readable files.

    Args:
        files: As `inspect_files` gives it.
        pattern: Regular expression with named groups for the whole file name without its last
            suffix, matched without regard to case.
        expected: What a name should look like, for the reason of a rejection.

    Returns:
        The readable files whose name parses, `path` and one str column a group, and the rejections
        of the others.
    """
    paths = files.loc[files["problem"] == "", "path"]
    stems = sample_ids(paths).str.rsplit("/", n=1).str[-1]
    fields = stems.str.extract(rf"^(?:{pattern})\Z", flags=re.ASCII | re.IGNORECASE)
    parsed = fields["age"].notna()
    rejected = rejections(paths[~parsed], f"{UNPARSED}: expected {expected}")
    return pd.concat([paths, fields], axis=1)[parsed], rejected


def sample_ids(paths: pd.Series) -> pd.Series:
    """Take the last suffix off each path: `images/001A02.JPG` is sample `images/001A02`."""
    return paths.str.replace(r"([^/])\.[^./]*$", r"\1", regex=True)


def finish(rows: pd.DataFrame, rejected: list[pd.DataFrame], place: str) -> Reading:
    """Bring rows into the form of a samples table and move those that cannot be used out.

    Args:
        rows: `path`, `identity`, `age` (int64) and any optional column of the samples table; one
            row an image, each path once.
        rejected: What the source has rejected so far.
        place: Names the folder or file read, for the log and the message of an error.

    Returns:
        The checked reading. Of several files with one sample_id (the same name with two suffixes)
        the first in the order of paths is kept.

    Raises:
        DataError: No sample is left.
    """
    rows = rows.assign(sample_id=sample_ids(rows["path"])).sort_values(["sample_id", "path"])
    valid = rows["age"].between(AGE_MIN, AGE_MAX)
    impossible = rows[~valid]
    age_text = impossible["age"].astype("str")
    rows = rows[valid]
    repeated = rows.duplicated("sample_id")
    again = rows[repeated]
    everything = pd.concat(
        [
            *rejected,
            rejections(
                impossible["path"], "age " + age_text + f" is outside {AGE_MIN} to {AGE_MAX}"
            ),
            rejections(
                again["path"],
                "another file has the same name but for its suffix, sample " + again["sample_id"],
            ),
        ]
    ).sort_values(["path", "reason"], ignore_index=True)
    rows = rows[~repeated]
    if rows.empty:
        reasons = "; ".join(
            f"{path}: {reason}" for path, reason in everything.head(3).itertuples(index=False)
        )
        raise DataError(
            f"Nothing in {place} can be used: {len(everything)} entries were rejected, "
            f"the first of them: {reasons}. Correct the files or their names and run again."
        )
    order = [column for column in _schema().columns if column in rows.columns]
    samples = check_samples(rows[order].reset_index(drop=True))
    logger.info("%s: %d samples, %d rejected.", place, len(samples), len(everything))
    return Reading(samples, everything)
