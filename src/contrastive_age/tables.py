"""Tables in Parquet files whose pages carry sums: a damaged value is an error, no other value."""

from pathlib import Path

import pandas as pd


def read(path: Path) -> pd.DataFrame:
    """Read a table with its `attrs`; files of other writers, which may have no sums, are read, too.

    Raises:
        Exception: The file is missing, damaged or no table; a damaged one can fail in any way.
    """
    return pd.read_parquet(path, page_checksum_verification=True)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table with its `attrs`."""
    table.to_parquet(path, write_page_checksum=True)
