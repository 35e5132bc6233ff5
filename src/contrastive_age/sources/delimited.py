"""Text tables as users write them: with commas, semicolons or tabs, perhaps a byte order mark."""

import csv
import io
from pathlib import Path

import pandas as pd

from contrastive_age.errors import DataError

_SEPARATORS = ",;\t"


def read(path: Path, needed: tuple[str | tuple[str, ...], ...]) -> pd.DataFrame:
    """Read a text table with a header line, every value as stripped text.

    Args:
        path: The file, UTF-8. The separator is the one of comma, semicolon and tab that the header
            holds most often.
        needed: The columns that must be there, each by its name, or by several: the first counts
            where it is there, else the file has one of the others, which is then called by the
            first. Names are matched in lower case.

    Returns:
        One str column for each of the file's, "" where a row has no value, and `row` (int64): the
        line of the file that the row ends in, the header being 1; and `surplus` (bool): whether the
        row has more values than the header, so that its values cannot be trusted. Blank lines, and
        columns without a name, are left out.

    Raises:
        DataError: The file is missing, is no UTF-8 text, lacks rows or columns, or has two columns
            that could be one of those needed.
    """
    choices = [(names,) if isinstance(names, str) else names for names in needed]
    columns = f"It needs a header line with the columns {', '.join(map(_in_words, choices))}"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"The table {path.absolute()} cannot be read: {error.strerror}. {columns}."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"The table {path.absolute()} is not UTF-8 text; save it as such."
        ) from error
    lines = io.StringIO(text, newline="")
    header_line = next(filter(str.strip, lines), "")
    lines.seek(0)
    # Strict: a quotation mark that is never closed would silently swallow the rows below it.
    reader = csv.reader(lines, delimiter=max(_SEPARATORS, key=header_line.count), strict=True)
    records = []
    line = 0
    try:
        for record in reader:
            line = reader.line_num
            if any(map(str.strip, record)):
                records.append((line, record))
    except csv.Error as error:
        raise DataError(
            f"The table {path.absolute()} is damaged near line {line + 1}: {error}. Correct that "
            "line; a quotation mark around a value must be closed, and one inside it be doubled."
        ) from error
    header = [name.strip().lower() for name in records[0][1]] if records else []
    named = list(filter(None, header))
    fitting = [
        [names[0]] if names[0] in named else [name for name in named if name in names]
        for names in choices
    ]
    unclear = any(len(names) != 1 for names in fitting) or len(set(named)) < len(named)
    if unclear or len(records) < 2:
        present = ", ".join(named) or "none"
        raise DataError(
            f"The table {path.absolute()} has {max(len(records) - 1, 0)} rows and the columns: "
            f"{present}. {columns}, each once, and at least one row below it."
        )
    chosen = {name: names[0] for (name,), names in zip(fitting, choices, strict=True)}
    return _table([chosen.get(name, name) for name in header], records[1:])


def _in_words(names: tuple[str, ...]) -> str:
    return f"{names[0]} (or {', '.join(names[1:])})" if names[1:] else names[0]


def _table(header: list[str], records: list[tuple[int, list[str]]]) -> pd.DataFrame:
    width = len(header)
    values = [[*map(str.strip, record), *[""] * width][:width] for _, record in records]
    table = pd.DataFrame(values, columns=header, dtype="str").loc[:, list(map(bool, header))]
    return table.assign(
        row=pd.Series([line for line, _ in records], dtype="int64"),
        surplus=[any(map(str.strip, record[width:])) for _, record in records],
    )
