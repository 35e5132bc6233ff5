"""A table that grows on disk: whole up to its last row, whatever becomes of the writer."""

import csv
import json
import math
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from contrastive_age.commands.table_file import TableFile
from contrastive_age.inference.estimator import COLUMNS, table_of

ROWS = [
    {"file": 'a, "b"\n.jpg', "face": 0, "age": 30.25, "low_95": 0.0, "high_95": math.inf},
    {"file": "ü.jpg", "face": -1, "min_face": math.nan, "reason": "no face found", "std": 1.0},
    {"file": "c.jpg", "face": 0, "age": 1 / 3, "reason": None, "note": "its end is missing"},
]
NAMES = [
    "\r.jpg",
    "a\rb",
    "a\r\nb",
    "\n",
    "a\r",
    '"',
    '"a"',
    "a,b",
    "a;b",
    "\t",
    " a ",
    "\v\f\x85\u2028",
]
"""What files may be called."""

SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".json", ".JSON"])


def read(path: Path) -> list[dict[str, Any]]:
    """What a file holds, None for what is not known or infinite."""
    if path.suffix.lower() == ".json":
        return list(json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail))
    table = pd.read_csv(path).astype(object)
    return table.mask(table.isna() | (table == math.inf), None).to_dict("records")


def expected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    table = table_of(rows).astype(object)
    return table.mask(table.isna() | (table == math.inf), None).to_dict("records")


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@SUFFIXES
def test_it_is_whole_after_every_row(tmp_path: Path, suffix: str) -> None:
    table = TableFile(tmp_path / "new" / f"t{suffix}", list(COLUMNS))
    for number, row in enumerate(ROWS, start=1):
        table.append([row])
        assert table.rows == number
        assert read(table.path) == expected(ROWS[:number])
    table.append(ROWS)
    assert read(table.path) == expected(ROWS * 2)
    assert names(table.path.parent) == [table.path.name]


def test_a_csv_is_what_pandas_writes(tmp_path: Path) -> None:
    table = TableFile(tmp_path / "t.csv", list(COLUMNS))
    for row in ROWS:
        table.append([row])
    assert table.path.read_text(encoding="utf-8") == table_of(ROWS).to_csv(index=False)


@SUFFIXES
def test_every_name_of_a_file_is_read_as_it_was(tmp_path: Path, suffix: str) -> None:
    table = TableFile(tmp_path / f"t{suffix}", ["file", "face"])
    for name in NAMES:
        table.append([{"file": name, "face": 0}])
    assert [row["file"] for row in read(table.path)] == NAMES
    if suffix == ".csv":
        with table.path.open(encoding="utf-8", newline="") as file:
            assert list(csv.reader(file)) == [["file", "face"], *([name, "0"] for name in NAMES)]


@SUFFIXES
def test_an_older_file_is_there_until_the_first_row_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_text("older, and longer than what comes" * 100)
    table = TableFile(path, list(COLUMNS))
    assert path.read_text().startswith("older")
    with space(1), pytest.raises(OSError, match="File too large"):
        table.append(ROWS[:1])
    assert path.read_text().startswith("older")
    assert names(tmp_path) == [path.name]
    table.append(ROWS[:1])
    assert read(path) == expected(ROWS[:1])


@contextmanager
def space(size: int) -> Iterator[None]:
    """No file can get larger than so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@SUFFIXES
def test_rows_for_which_there_is_no_room_leave_the_others_whole(
    tmp_path: Path, suffix: str
) -> None:
    table = TableFile(tmp_path / f"t{suffix}", list(COLUMNS))
    table.append(ROWS[:1])
    before = table.path.read_bytes()
    for room in (0, 1, 20, 50):
        with space(len(before) + room), pytest.raises(OSError, match="File too large"):
            table.append(ROWS)
        assert table.path.read_bytes() == before
        assert table.rows == 1
    table.append(ROWS[1:])
    assert read(table.path) == expected(ROWS)


@SUFFIXES
def test_what_another_program_has_made_of_the_file_is_left_alone(
    tmp_path: Path, suffix: str
) -> None:
    table = TableFile(tmp_path / f"t{suffix}", list(COLUMNS))
    table.append(ROWS[:1])
    table.path.write_text("another's")
    with pytest.raises(OSError, match="another program has changed it"):
        table.append(ROWS[1:])
    assert table.path.read_text() == "another's"
    table.path.unlink()
    with pytest.raises(FileNotFoundError):
        table.append(ROWS[1:])
    assert names(tmp_path) == []


def test_what_was_written_before_a_kill_is_there(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from contrastive_age.commands.table_file import TableFile
for suffix in (".csv", ".json"):
    table = TableFile(Path({str(tmp_path)!r}, "t" + suffix), ["file", "face"])
    for number in range(3):
        table.append([{{"file": "x.jpg", "face": number}}])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    for suffix in (".csv", ".json"):
        assert [row["face"] for row in read(tmp_path / f"t{suffix}")] == [0, 1, 2]


@SUFFIXES
def test_nothing_but_an_older_table_is_replaced(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ages{suffix}"
    table = TableFile(path, list(COLUMNS))
    assert not table.replaces_another()
    is_json = suffix.lower() == ".json"
    for own in ("", "[\n]\n" if is_json else "\ufeff" + ",".join(COLUMNS) + "\n"):
        path.write_text(own, encoding="utf-8")
        assert not table.replaces_another()
    TableFile(path, list(COLUMNS)).append(ROWS[:1])
    assert not table.replaces_another()
    for other in ("path,identity,age\n", "file,age\n", '{"file": 1}', '[{"a": 1}]', "\x89PNG"):
        path.write_text(other, encoding="utf-8")
        assert table.replaces_another()
