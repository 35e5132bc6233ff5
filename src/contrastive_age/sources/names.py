"""Names of files: which sample a path is, and what spellings of one name have in common."""

import unicodedata

import pandas as pd


def without_suffix(paths: pd.Series) -> pd.Series:
    """Take the last suffix off each path: `images/001A02.JPG` is sample `images/001A02`."""
    return paths.str.replace(r"([^/])\.[^./]*$", r"\1", regex=True)


def folded(name: str) -> str:
    """Give what a file's name has in common with itself in another case or Unicode form."""
    # Folding can leave accents in another order, so it is normalised before and after.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
