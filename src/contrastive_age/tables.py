"""Tables in Parquet files that carry sums: what is damaged is an error, and no other value.

Pages have sums of Parquet's own. What names the columns, their types and the attributes, the footer
at the file's end, has none: a sum of ours stands before it, where no reader of Parquet looks.
"""

import os
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from contrastive_age.files import SEAL_SIZE, is_seal, seal

_TAIL = 8
"""Bytes at a file's end: the footer's length, and Parquet's signature."""


def read(path: Path) -> pd.DataFrame:
    """Read a table with its `attrs`; files of other writers, which may have no sums, are read, too.

    Raises:
        Exception: The file is missing, damaged or no table; a damaged one can fail in any way.
    """
    with path.open("rb") as file:
        start, footer = _footer(file)
        file.seek(max(start - SEAL_SIZE, 0))
        found = file.read(SEAL_SIZE)
    if is_seal(found) and found != seal([footer]):
        raise ValueError(f"{path}: CRC checksum verification failed for the footer")
    return pd.read_parquet(path, page_checksum_verification=True)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table with its `attrs`."""
    table.to_parquet(path, write_page_checksum=True)
    with path.open("rb+") as file:
        start, footer = _footer(file)
        file.seek(start)
        file.write(seal([footer]) + footer)


def _footer(file: BinaryIO) -> tuple[int, bytes]:
    """Where the footer begins, and it to the file's end; something else where there is none."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(end - _TAIL, 0))
    length = int.from_bytes(file.read(4), "little") + _TAIL
    start = file.seek(max(end - length, 0))
    return start, file.read()
