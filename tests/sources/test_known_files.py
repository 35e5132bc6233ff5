"""An earlier table of files spares reading, but only where it is one."""

from pathlib import Path

import pandas as pd
import pytest

from contrastive_age.sources.layouts import code, known_files

FILES = pd.DataFrame(
    {
        "path": ["a.jpg"],
        "size": [3],
        "mtime_ns": [5],
        "ctime_ns": [7],
        "inode": [11],
        "digest": ["00"],
        "problem": [""],
        "pixels": [48],
        "note": [""],
    }
)


def test_a_table_of_files_is_found_again(tmp_path: Path) -> None:
    assert known_files(tmp_path) is None
    files = FILES.copy()
    files.attrs["code"] = code()
    files.to_parquet(tmp_path / "files.parquet")
    pd.testing.assert_frame_equal(known_files(tmp_path), files)


def test_a_table_of_files_by_other_code_is_not_taken(tmp_path: Path) -> None:
    files = FILES.copy()
    files.attrs["code"] = "other"
    files.to_parquet(tmp_path / "files.parquet")
    assert known_files(tmp_path) is None


@pytest.mark.parametrize(
    "table", [FILES.drop(columns="digest"), FILES.assign(size="large"), FILES[["path"]]]
)
def test_another_table_is_not_taken_for_it(tmp_path: Path, table: pd.DataFrame) -> None:
    table.attrs["code"] = code()
    table.to_parquet(tmp_path / "files.parquet")
    assert known_files(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"something else " * 99])
def test_a_damaged_table_is_not_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "files.parquet").write_bytes(content)
    assert known_files(tmp_path) is None
