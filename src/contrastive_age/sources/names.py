"""Names of files: which sample a path is, and what spellings of one name have in common."""

import unicodedata
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

NONE, SEVERAL = -1, -2
"""In the place of the row that a name means: it fits no sample, or more than one."""


def without_suffix(paths: pd.Series) -> pd.Series:
    """Take the last suffix off each path: `images/001A02.JPG` is sample `images/001A02`."""
    return paths.str.replace(r"([^/])\.[^./]*$", r"\1", regex=True)


def folded(name: str) -> str:
    """Give what a file's name has in common with itself in another case or Unicode form."""
    # Folding can leave accents in another order, so it is normalised before and after.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def find(
    names: "pd.Series[str]", sample_ids: "pd.Series[str]"
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Find the samples that names mean.

    A name is a sample's id, with or without a suffix, or else has more or fewer leading folders, as
    long as it fits one sample only. One that fits none is looked for in another case or Unicode
    form.

    Args:
        names: As somebody wrote them, n.
        sample_ids: The samples, N.

    Returns:
        The row of the sample, `NONE` or `SEVERAL`, int64 (n,); and whether it was found in another
        case or form alone, bool (n,).
    """
    written = names.str.replace("\\", "/").str.removeprefix("./")
    spellings = list(zip(written, without_suffix(written), strict=True))
    rows = np.array(list(map(_finder(sample_ids), spellings)), dtype=np.int64)
    loosely = rows == NONE
    if loosely.any():
        found = _finder(sample_ids, folded)
        rows[loosely] = [found(spellings[number]) for number in np.flatnonzero(loosely)]
    return rows, loosely & (rows >= 0)


def _finder(
    sample_ids: Iterable[str], spelled: Callable[[str], str] = str
) -> Callable[[Iterable[str]], int]:
    """Make a function from the spellings of a name to the row it means, `NONE` or `SEVERAL`."""
    ids: dict[str, int] = {}
    ends: dict[str, int] = {}
    for row, sample_id in enumerate(map(spelled, sample_ids)):
        ids[sample_id] = SEVERAL if sample_id in ids else row
        for tail in _tails(sample_id):
            ends[tail] = SEVERAL if tail in ends else row

    def row_of(spellings: Iterable[str]) -> int:
        names = list(map(spelled, spellings))
        exact = [ids[name] for name in names if name in ids]
        if exact:
            return exact[0]
        rows = {ends[name] for name in names if name in ends}
        rows |= {ids[tail] for name in names for tail in _tails(name) if tail in ids}
        return SEVERAL if len(rows) > 1 else next(iter(rows), NONE)

    return row_of


def _tails(name: str) -> list[str]:
    """Give a path, then the path without its first folder, and so on down to the file's name."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]
