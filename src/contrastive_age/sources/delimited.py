"""Text tables as users and their programs write them; the one reader of all of them.

Comma, semicolon, tab or bar; quotes; a byte order mark; `sep=;` in the first line, as Excel writes
it; UTF-8, or UTF-16 and UTF-32 with a mark, as Excel's "Unicode text" is; any line ends.
"""

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from contrastive_age.errors import DataError

_SEPARATORS = ",;\t|"
_EMPTY = _SEPARATORS + ' "\r\n\v\f'
"""What a line that holds nothing may consist of."""

_MARKS = {
    # That of UTF-32 begins as that of UTF-16 does.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_REMEDY = "Save it as UTF-8: in a spreadsheet, save a copy in the format 'CSV UTF-8'"
_SHOWN = 100  # characters of a line
_COLUMNS = 20
_DECLARED = re.compile(r'"?sep=(\t|[^\w\s"])"?[\s,;|]*', re.IGNORECASE)


def read(
    path: Path,
    needed: tuple[str | tuple[str, ...], ...],
    called: Mapping[str, Collection[str]] = MappingProxyType({}),
    *,
    unnamed: str = "",
) -> pd.DataFrame:
    """Read a text table with a header line, every value as stripped text.

    Args:
        path: The file, as `decoded` reads it. The separator is, of comma, semicolon, tab, bar and
            what a line `sep=` above the header names, the one with which the header has most of
            the columns needed, then that with which it has most columns.
        needed: The columns that must be there, each by its name, or by several: the first counts
            where it is there, else the file has one of the others, which is then called by the
            first. Names are matched in lower case.
        called: What others call a column, its letters and digits in lower case: where it is
            missing and one of these is there, the message asks whether that is it.
        unnamed: What a first column without a name is called, such as an index that pandas wrote.

    Returns:
        One str column for each of the file's, "" where a row has no value, and `row` (int64): the
        line of the file that the row ends in, counted from 1; and `surplus` (bool): whether the
        row has more values than the header, so that its values cannot be trusted. Blank lines, and
        columns without a name, are left out.

    Raises:
        DataError: The file is missing, is no text, lacks rows or columns, or has two columns that
            could be one of those needed.
    """
    choices = [(names,) if isinstance(names, str) else names for names in needed]
    columns = f"It needs a header line with the columns {', '.join(map(_in_words, choices))}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"The table {path.absolute()} cannot be read: {error.strerror}. {columns}."
        ) from error
    try:
        text = decoded(content)
    except ValueError as error:
        raise DataError(f"The table {path.absolute()} {error}. {_REMEDY}.") from error
    lines = io.StringIO(text, newline="")
    above, header_line, separators = _header(lines)
    separator = max(separators, key=lambda each: _fit(header_line, each, choices))
    # Strict: a quotation mark that is never closed would silently swallow the rows below it.
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    records = []
    line = above
    try:
        for record in reader:
            line = above + reader.line_num
            # A file that was cut short by a crash may end in zero bytes.
            if any(value.strip().strip("\0") for value in record):
                records.append((line, record))
    except csv.Error as error:
        raise DataError(
            f"The table {path.absolute()} is damaged near line {line + 1}: {error}. Correct that "
            "line; a quotation mark around a value must be closed, and one inside it be doubled."
        ) from error
    header = _names(records[0][1]) if records else []
    named = list(filter(None, header))
    fitting = [_fitting(named, names) for names in choices]
    if not any(fitting) and named:
        raise DataError(
            f"The table {path.absolute()} begins with {header_line.strip()[:_SHOWN]!r}, which "
            f"names none of the columns. {columns}, each once, above the rows."
            f"{_question(named, called)}"
        )
    unclear = any(len(names) != 1 for names in fitting) or len(set(named)) < len(named)
    if unclear or len(records) < 2:
        present = ", ".join(named[:_COLUMNS]) + ", ..." * (len(named) > _COLUMNS) or "none"
        raise DataError(
            f"The table {path.absolute()} has {max(len(records) - 1, 0)} rows and the columns: "
            f"{present}. {columns}, each once, and at least one row below it."
            f"{_question(named, called)}"
        )
    chosen = {name: names[0] for (name,), names in zip(fitting, choices, strict=True)}
    header[0] = header[0] or unnamed
    return _table([chosen.get(name, name) for name in header], records[1:])


def decoded(content: bytes) -> str:
    """Read the bytes of a text file, of UTF-8 or, where a byte order mark says so, UTF-16 or -32.

    Raises:
        ValueError: They are no such text; says so, and names the first line that is not.
    """
    if content.startswith(_WORKBOOKS):
        raise ValueError("is a workbook or an archive and no text")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "")
    try:
        text = content.decode(encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        if encoding:
            raise ValueError(f"is damaged: its mark says {encoding.upper()}, {error}") from error
        raise ValueError(f"is not UTF-8 text: {_first_other(content)}") from error
    if "\0" in re.split(r"[\r\n]", text.lstrip(_EMPTY), maxsplit=1)[0]:
        raise ValueError("is not UTF-8 text: there are zero bytes in its first line")
    return text


def _first_other(content: bytes) -> str:
    """Name the first line that is not UTF-8."""
    for number, line in enumerate(re.split(rb"\r\n|\r|\n", content), 1):
        shown = line.decode(errors="replace")
        if shown.encode() != line:
            return f"the first line that is not is line {number}, {shown[:_SHOWN]!r}"
    return "it ends inside a character"


def _header(lines: io.StringIO) -> tuple[int, str, str]:
    """Find the header, and what may separate its columns.

    Args:
        lines: The whole text; afterwards at the start of the header.

    Returns:
        How many lines stand above the header, the header's first line, and the separators in
        question, that which a line `sep=` names first.
    """
    above, start, separators = 0, 0, _SEPARATORS
    while line := lines.readline():
        if declared := _DECLARED.fullmatch(line):
            separators = declared[1] + _SEPARATORS
        elif line.strip(_EMPTY):
            break
        above, start = above + 1, lines.tell()
    lines.seek(start)
    return above, line, separators


def _fit(header: str, separator: str, choices: list[tuple[str, ...]]) -> tuple[int, int]:
    """Say how many of the columns needed a header has with a separator, and how many it has."""
    # A value of more characters would be an error, which is for the whole table to say.
    line = header[: csv.field_size_limit()]
    names = _names(next(csv.reader([line], delimiter=separator, skipinitialspace=True), []))
    return sum(any(map(names.__contains__, each)) for each in choices), len(names)


def _names(header: list[str]) -> list[str]:
    return [" ".join(name.split()).lower() for name in header]


def _fitting(named: list[str], names: tuple[str, ...]) -> list[str]:
    """The columns that may be the one with these names."""
    return [names[0]] if names[0] in named else [name for name in named if name in names]


def alike(named: Iterable[str], others: Collection[str]) -> list[str]:
    """Those of the names of columns whose letters and digits are among others."""
    return [name for name in named if "".join(filter(str.isalnum, name)) in others]


def _question(named: list[str], called: Mapping[str, Collection[str]]) -> str:
    """Ask whether columns that are called otherwise are those that are missing."""
    missing = {name: alike(named, others) for name, others in called.items() if name not in named}
    guesses = [f"{there[0]!r} the {name}" for name, there in missing.items() if there]
    return f" Is {', '.join(guesses)}? Then name it so." if guesses else ""


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
