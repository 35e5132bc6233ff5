"""A table of faces that grows on disk while photos are looked at."""

import csv
import io
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from contrastive_age.files import replacing

SUFFIXES = (".csv", ".json")

Row = Mapping[str, Any]


class TableFile:
    """A table as CSV or JSON that is complete as far as it goes, whenever the run may be killed.

    The first rows replace a file that is there; until then it stays. JSON is an array of objects,
    which is closed anew behind every row. It has no infinity: there it is null, as is what is not
    known.

    Attributes:
        path: The file.
        rows: How many it holds.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Nothing is written before the first rows.

        Args:
            path: With a suffix of `SUFFIXES`.
            columns: In their order; of a row, other keys are left out.
        """
        self.path = path
        self.rows = 0
        self._columns = columns
        self._is_json = path.suffix.lower() == ".json"
        self._end = b"\n]\n" if self._is_json else b""
        self._size = 0

    def replaces_another(self) -> bool:
        """Whether there is a file with something else than such a table in it."""
        try:
            with self.path.open("rb") as file:
                begin = file.read(1000).decode("utf-8", "replace").removeprefix("\ufeff").split()
        except FileNotFoundError:
            return False
        one, two = self._columns[:2]
        own = rf'\[(\{{"{one}":.*"{two}":|\])' if self._is_json else f"{one},{two},"
        return re.match(rf"{own}|\Z", "".join(begin)) is None

    def append(self, rows: Sequence[Row]) -> None:
        """Write further rows, all of them or none.

        Raises:
            OSError: They cannot be written, or the file is no longer the one that was written.
        """
        text = (self._as_json(rows) if self._is_json else self._as_csv(rows)).encode("utf-8")
        if self._size:
            self._add(text)
        else:
            with replacing(self.path) as beside:
                beside.write_bytes(text + self._end)
        self._size += len(text)
        self.rows += len(rows)

    def _add(self, text: bytes) -> None:
        # What Python would hold back is lost to a kill.
        with self.path.open("r+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) not in (self._size, self._size + len(self._end)):
                raise OSError(None, "another program has changed it", str(self.path))
            file.seek(self._size)
            rest = memoryview(text + self._end)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError as error:
                error.filename = str(self.path)
                file.truncate(self._size)
                file.seek(self._size)
                with suppress(OSError):
                    file.write(self._end)
                raise

    def _as_csv(self, rows: Sequence[Row]) -> str:
        values = [[row.get(name, "") for name in self._columns] for row in rows]
        lines = values if self._size else [list(self._columns), *values]
        return "".join(map(_line, lines))

    def _as_json(self, rows: Sequence[Row]) -> str:
        objects = [{name: _finite(row.get(name)) for name in self._columns} for row in rows]
        lines = ",\n ".join(json.dumps(each, ensure_ascii=False) for each in objects)
        return ("," if self._size else "[") + "\n " + lines


def _line(values: Sequence[Any]) -> str:
    """A line of CSV; a name may hold line ends of any kind, which stand between quotes."""
    text = io.StringIO(newline="")
    # Quoted is what the writer's own line end consists of, so that it has to be the longest one.
    csv.writer(text, lineterminator="\r\n").writerow(
        ["" if _unknown(value) else value for value in values]
    )
    return text.getvalue().removesuffix("\r\n") + "\n"


def _unknown(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
