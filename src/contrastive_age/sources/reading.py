"""What all raw layouts share: the table of samples, the files behind it, and what was rejected."""

import functools
import hashlib
import io
import logging
import math
import os
import re
import stat
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from contrastive_age.errors import DataError
from contrastive_age.sources import identities
from contrastive_age.sources.ages import AGE_MAX, AGE_MIN
from contrastive_age.sources.decoding import (
    HEAD,
    MOST_MEGAPIXELS,
    cause,
    decode,
    full_size,
    not_read,
    remark,
)
from contrastive_age.sources.names import without_suffix

if TYPE_CHECKING:
    import pandera.pandas as pa

logger = logging.getLogger(__name__)

UNREADABLE = "unreadable"
UNPARSED = "name does not parse"
"""How the reasons of the two commonest kinds of rejection begin; the audit counts them apart."""

LEAST_SIDE = 4
"""Pixels in which eyes, nose and mouth can lie apart; smaller images are spacers of web pages."""

DARKEST = 16
"""Of 255, below which the brightest value of a photo shows nothing."""

MOST_BYTES = 2**30
"""Photos of a larger file are not read: it would have to fit into memory, for each thread."""

_REASONS = 3
"""How many of the commonest reasons a message gives."""

_CALLED_AS_PHOTO = (
    r"\.(?:avif|bmp|gif|hei[cf]|j2k|jfif|jp2|jpe|jpe?g|jxl|mpo|p[bgnp]m|png|tiff?|webp"
    r"|arw|cr[23]|dng|nef|orf|raf|rw2)\Z"
)

_NEVER_DATA = frozenset({"thumbs.db", "desktop.ini"})

FILE_TYPES = {
    "path": "str",
    "size": "int64",
    "mtime_ns": "int64",
    "ctime_ns": "int64",
    "inode": "int64",
    "digest": "str",
    "problem": "str",
    "pixels": "int64",
    "note": "str",
}

_STATE = ["path", "size", "mtime_ns", "ctime_ns", "inode"]
"""While all of these hold, a file's content is taken to be what it was.

Size and `mtime` stay when two files swap names or a program sets `mtime` back; `ctime`, which no
program can set, and the inode do not.
"""

_FOUND = ["digest", "problem", "pixels", "note"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a source holds: the samples that can be used and the files that cannot.

    Attributes:
        samples: One row an image, as `check_samples` describes it.
        rejected: `path` and `reason` (both str), one row for each file or entry that cannot be
            used, sorted by path. Every file found is either in `samples` or here.
        joined: The people whose identity is written in several ways, as `identities.join` lists
            them; `samples` holds one way.
        found_otherwise: `written` and `found` (both str) of the paths that a table writes in
            another case or Unicode form than the file's.
        ages_rounded: `path`, `written` (str) and `age` (int64, years) of the samples whose age is
            written as no whole number, and rounded.
    """

    samples: pd.DataFrame
    rejected: pd.DataFrame
    joined: pd.DataFrame = field(default_factory=pd.DataFrame)
    found_otherwise: pd.DataFrame = field(default_factory=pd.DataFrame)
    ages_rounded: pd.DataFrame = field(default_factory=pd.DataFrame)


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


def scan(folder: Path, below: str = "") -> tuple[list[str], pd.DataFrame]:
    """Find all files in `folder/below` and its subfolders.

    Hidden files and the litter of file managers are left out. Links to folders are followed, after
    all folders that are no links; but each folder is read once, and one that holds the source never
    from inside it, so that links in a loop come to an end and add nothing.

    Args:
        folder: The source's folder.
        below: A subfolder of it, or "" for all of it.

    Returns:
        Posix paths relative to `folder`, in no particular order; a name that is not valid Unicode
        has its stray bytes escaped, so that it is later listed as a file that cannot be opened. And
        the folders that were not entered, as rejections.
    """
    files: list[str] = []
    passed_over: dict[str, str] = {}

    def closed(error: OSError) -> None:
        passed_over[_name(Path(error.filename), folder)] = f"{UNREADABLE}: {cause(error)}"

    start = folder / below
    waiting = deque([start] if start.is_dir() else [])
    # The folders around this one: a link to one of them would lead back into it.
    seen = {_inode(parent) for parent in start.resolve().parents} if waiting else set()
    while waiting:
        for place, folders, names in os.walk(waiting.popleft(), onerror=closed):
            # What is left in `folders` is walked next.
            if _inode(Path(place)) in seen:
                passed_over[_name(Path(place), folder)] = "a link to a folder that is read already"
                folders.clear()
                continue
            seen.add(_inode(Path(place)))
            folders[:] = sorted(filter(_may_be_data, folders), reverse=True)
            links = [path for name in folders[::-1] if (path := Path(place, name)).is_symlink()]
            waiting.extend(links)
            files += [_name(Path(place, name), folder) for name in filter(_may_be_data, names)]
    return files, rejections(passed_over.keys(), passed_over.values())


def _may_be_data(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NEVER_DATA


def _inode(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_dev, state.st_ino


def _name(path: Path, folder: Path) -> str:
    relative = path.relative_to(folder).as_posix()
    return os.fsencode(relative).decode("utf-8", "backslashreplace")


def list_images(folder: Path, below: str, missing: str) -> list[str]:
    """List the files in `folder/below`, among which there is an image.

    Args:
        folder: The source's folder.
        below: The subfolder that holds the images, or "".
        missing: What to tell a user who has not placed the data yet: the layout, where to get it.

    Returns:
        Posix paths relative to `folder`, sorted. What is no image is among them, for
        `inspect_files` to say so.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    files = sorted(scan(folder, below)[0])
    if not any(may_be_image(folder / path) for path in files):
        place = folder.absolute() / below
        raise DataError(f"The folder {place} {_why_without_images(place)}. {missing}")
    return files


def may_be_image(path: Path) -> bool:
    """Whether a file begins as an image does, is empty, or cannot be read."""
    try:
        # A pipe would be waited for without end.
        if path.exists() and not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError):
        return True
    return not (head and not_read(head))


def _why_without_images(place: Path) -> str:
    if not place.is_dir():
        return "is a file and no folder" if place.exists() else "does not exist"
    return "holds no image files" if os.access(place, os.R_OK | os.X_OK) else "cannot be read"


def subfolder(folder: Path, name: str) -> str:
    """Name the subfolder that is called `name` without regard to case; `name` where none is."""
    folders = (entry for entry in folder.glob("*") if entry.name.lower() == name.lower())
    return next((entry.name for entry in folders if entry.is_dir()), name)


def inspect_files(
    folder: Path,
    paths: list[str],
    known: pd.DataFrame | None = None,
    progress: bool = True,
    *,
    most_megapixels: float = MOST_MEGAPIXELS,
) -> pd.DataFrame:
    """Read every file once: its digest, and whether it decodes to the last pixel.

    Args:
        folder: The folder that the paths are relative to.
        paths: The files to read; they need not exist.
        known: An earlier result. Rows whose path, size, times of change and inode still hold, and
            which had no problem, are taken over without reading the file; none are where the table
            lacks a column.
        progress: Whether to show a progress bar.
        most_megapixels: Photos of more million pixels have a problem.

    Returns:
        One row a path, in the order given: `path`, `size` (bytes), `mtime_ns`, `ctime_ns` and
        `inode` (all -1 where the file cannot be found), `digest` (SHA-256 of the bytes,
        hexadecimal; "" where they cannot be read, or are no image's), `problem` ("" where the image
        decodes), `pixels` (their number, 0 where there is a problem) and `note` ("", or what is
        remarkable of an image that is used, such as an end that is missing).
    """
    files = pd.DataFrame([(path, *_state(folder / path)) for path in paths], columns=_STATE).astype(
        {column: FILE_TYPES[column] for column in _STATE}
    )
    if known is None or not FILE_TYPES.keys() <= set(known):
        known = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in FILE_TYPES.items()})
    sound = known[(known["problem"] == "") & (known["pixels"] <= most_megapixels * 1e6)]
    files = files.merge(sound[list(FILE_TYPES)].drop_duplicates(_STATE), on=_STATE, how="left")
    new = files["digest"].isna()
    if new.any():
        files.loc[new, _FOUND] = _inspect_all(
            folder, files.loc[new, "path"].to_list(), progress, most_megapixels
        )
    logger.debug("Read %d files below %s, %d unchanged.", new.sum(), folder, (~new).sum())
    noted = files[files["note"] != ""]
    if len(noted):
        logger.warning(
            "%d photos below %s are cut off and read as far as they go, such as %s (%s).",
            len(noted),
            folder,
            *noted[["path", "note"]].iloc[0],
        )
    return files[list(FILE_TYPES)].astype(FILE_TYPES)


def _inspect_all(
    folder: Path, paths: list[str], progress: bool, most_megapixels: float
) -> list[tuple[str, str, int, str]]:
    # Decoding and hashing release the interpreter lock, so threads are enough.
    with ThreadPool(min(16, 2 * (os.cpu_count() or 1))) as pool:
        inspect = functools.partial(_inspect, most_megapixels=most_megapixels)
        results = pool.imap(inspect, (folder / path for path in paths), chunksize=8)
        return list(
            tqdm(
                results,
                total=len(paths),
                desc="Reading images",
                disable=not progress or None,
                unit=" images",
            )
        )


def _state(path: Path) -> tuple[int, int, int, int]:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return -1, -1, -1, -1
    # Some file systems number files past the signed integers of 64 bits.
    inode = state.st_ino % 2**63
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, inode


def _inspect(path: Path, most_megapixels: float) -> tuple[str, str, int, str]:
    """Give the values of `_FOUND` for a file."""
    digest = ""
    try:
        content = _content(path)
        digest = hashlib.sha256(content).hexdigest()
        image = decode(io.BytesIO(content), most_megapixels)
        require_something_to_see(image)
    except Exception as error:  # a damaged file can fail anywhere inside a decoder
        return digest, cause(error), 0, ""
    return digest, "", math.prod(full_size(image)), remark(image)


def _content(path: Path) -> bytes:
    """Read a file, if it begins as an image does.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not read; the message says why.
    """
    try:
        state = path.stat()
    except ValueError as error:  # of Python itself, before the system is asked
        raise ValueError("no such file: a name holds no zero byte") from error
    # A pipe would be waited for without end, and a device read without end.
    if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
        raise ValueError("neither a file nor a link to one")
    with path.open("rb") as file:
        head = file.read(HEAD)
        if reason := not_read(head):
            raise ValueError(reason)
        if state.st_size > MOST_BYTES:
            raise ValueError(f"{state.st_size} bytes are more than {MOST_BYTES}")
        return head + file.read()


def require_something_to_see(image: Image.Image) -> None:
    """Check that a decoded photo is not black, nor too small for a face.

    Raises:
        ValueError: It is.
    """
    width, height = full_size(image)
    if min(width, height) < LEAST_SIDE:
        raise ValueError(f"{width} x {height} pixels are too few for a face")
    brightest = int(np.max(image.getextrema()))
    if brightest < DARKEST:
        raise ValueError(f"it is black: its brightest value is {brightest} of 255")


def rejections(paths: Iterable[str], reasons: Iterable[str] | str) -> pd.DataFrame:
    """Make rows of `Reading.rejected`, with one reason for all paths or one for each."""
    given = reasons if isinstance(reasons, str) else list(reasons)
    return pd.DataFrame({"path": list(paths), "reason": given}, dtype="str")


def called_as_photos(names: pd.Series) -> pd.Series:
    """Whether files have the suffix of a photo (bool), also of a format that is not read."""
    return names.str.contains(_CALLED_AS_PHOTO, case=False)


def passed_over(folder: Path, below: str) -> pd.DataFrame:
    """List as rejections the folders among a source's images that were not entered."""
    return scan(folder, below)[1]


def parse_names(
    files: pd.DataFrame, pattern: str, expected: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take the labels from the names of the readable files.

    Args:
        files: As `inspect_files` gives it.
        pattern: Regular expression with named groups, of which one is `age`, for the whole file
            name without its last suffix and blanks around, matched without regard to case.
        expected: What a name should look like, for the reason of a rejection.

    Returns:
        The readable files whose name parses, `path`, `age` (int64) and one str column for each
        other group; and the rejections of all others.
    """
    bad = files[files["problem"] != ""]
    unreadable = rejections(bad["path"], f"{UNREADABLE}: " + bad["problem"])
    paths = files["path"].drop(bad.index)
    stems = without_suffix(paths).str.rsplit("/", n=1).str[-1].str.strip()
    fields = stems.str.extract(rf"^(?:{pattern})\Z", flags=re.ASCII | re.IGNORECASE)
    parsed = fields["age"].notna()
    unparsed = rejections(paths[~parsed], f"{UNPARSED}: expected {expected}")
    rows = pd.concat([paths, fields], axis=1)[parsed].astype({"age": "int64"})
    return rows, pd.concat([unreadable, unparsed])


def commonest(rejected: pd.DataFrame) -> str:
    """Say for which reasons most entries were rejected, each with its first entry.

    Args:
        rejected: As in `Reading`, at least one row.
    """
    # What one reason says of several entries differs in what is quoted of them, and in numbers.
    kinds = rejected["reason"].str.replace(r"'.*'|[0-9]+", "", regex=True)
    reasons = rejected.assign(times=kinds.groupby(kinds).transform("size"))[~kinds.duplicated()]
    most = reasons.sort_values("times", ascending=False, kind="stable").head(_REASONS)
    return "; ".join(
        # A name or a value may hold line breaks.
        f"{times} such as {path!r}: {' '.join(reason.split())}"
        for path, reason, times in most[["path", "reason", "times"]].itertuples(index=False)
    )


def finish(rows: pd.DataFrame, rejected: list[pd.DataFrame], place: str) -> Reading:
    """Bring rows into the form of a samples table and move those that cannot be used out.

    Args:
        rows: `path`, `age` (int64), `identity` and any optional column of the samples table; one
            row an image, each path once. Without `identity` every photo is a person of its own,
            called as its sample_id: no such name stands for a missing one, and none are joined.
        rejected: What the source has rejected so far.
        place: Names the folder or file read, for the log and the message of an error.

    Returns:
        The checked reading. Of several files with one sample_id (the same name with two suffixes)
        the first in the order of paths is kept. Of several spellings of one person the commonest is
        kept, as `identities.join` chooses it.

    Raises:
        DataError: No sample is left.
    """
    rows = rows.assign(sample_id=without_suffix(rows["path"])).sort_values(["sample_id", "path"])
    ages = "age " + rows["age"].astype("str") + f" is outside {AGE_MIN} to {AGE_MAX}"
    named = rows.get("identity", pd.Series("somebody", index=rows.index, dtype="str"))
    reasons = identities.faults(named)
    reasons = reasons.mask(~rows["age"].between(AGE_MIN, AGE_MAX), ages)
    again = rows[reasons == ""].duplicated("sample_id")
    repeated = rows.loc[again[again].index, "sample_id"]
    reasons.update("another file has the same name but for its suffix, sample " + repeated)
    refused = rejections(rows.loc[reasons != "", "path"], reasons[reasons != ""])
    everything = pd.concat([*rejected, refused]).sort_values(["path", "reason"], ignore_index=True)
    rows = rows[reasons == ""]
    if rows.empty:
        raise DataError(
            f"Nothing in {place} can be used: {len(everything)} entries were rejected, "
            f"{commonest(everything)}. Correct the files or their names and run again."
        )
    spelled, joined = identities.join(rows.get("identity", pd.Series(dtype="str")))
    if len(joined):
        logger.warning(
            "%s: %d people are written in several ways, such as %s; each counts as one person.",
            place,
            len(joined),
            " and ".join(map(repr, joined["spellings"].iloc[0])),
        )
    rows = rows.assign(identity=spelled if "identity" in rows else rows["sample_id"])
    order = [column for column in _schema().columns if column in rows.columns]
    samples = check_samples(rows[order].reset_index(drop=True))
    return Reading(samples, everything, joined)
