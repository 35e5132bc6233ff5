"""The paper's errors with what was measured here beside them.

A published number stands once, as printed. What was measured here stands in columns of its own
(`groups.MEASURED`), with budget, data, seeds and runs, or as 'not run' with the command that
would. The columns (I) of Tables 2 to 4 are networks pre-trained on ImageNet, and (F) on faces: only
ours that were, too, answer them, and each of (F) says on which faces. Another start is a row of its
own and says so. Tables 5 and 6 have no (F), so that nothing pre-trained on faces stands in them. Of
another backbone or head than the paper's nothing stands in any of them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from contrastive_age.reporting import published
from contrastive_age.reporting.groups import MEASURED, Evidence, rows_of, whole_numbers
from contrastive_age.reporting.papers import PROTOCOLS
from contrastive_age.reporting.sections.section import Column, Contents, Grid, Section, notes

RERUN = "{name}, our network"
"""How a combination of losses is called that the paper took from elsewhere, or has not."""

STARTS = (
    "(I) is pre-training on ImageNet, (F) on faces. What was measured here stands in (F) when "
    "its network started from weights that the pipeline “pretrain” made, and says on which "
    "faces, how many images and epochs and at how many pixels; the published networks "
    "saw other collections of faces."
)

ENTRIES = "{% for row in entries %}{{ entry(row) }}{% endfor %}"
"""A cell of our measurements alone."""

BESIDE = (
    '{% if published is known %}<div class="published"><span class="who">published</span> '
    '<span class="{{ rank }}">{{ published | number }}</span></div>{% endif %}' + ENTRIES
)
"""A cell of the paper's number with our measurements below."""

_PAPERS_ROWS = {
    "Ours (binary loss)": "MV + Cosine",
    "Ours (ternary loss)": "MV + Cosine + Triplet",
}
_PRINTED = "{{ strong(((value | number if value is known else '') ~ dagger), is_paper) }}"
_NOTHING = {"status": "", "losses": "", "mark": "", "pretraining": "", "command": ""}


def errors(number: int, protocol: str, title: str, words: str) -> Section:
    """The section of Table 2, 3 or 4.

    Args:
        number: Of the table.
        protocol: Such as `morph_rs`.
        title: Of the section.
        words: What the protocol means.
    """
    return Section(
        f"table-{number}",
        f"Table {number}: {title}",
        (words, STARTS),
        f"table_{number}",
        partial(_make, number=number, protocol=protocol),
        show=partial(_show, number=number, protocol=PROTOCOLS[protocol]),
    )


def _make(evidence: Evidence, number: int, protocol: str) -> pd.DataFrame:
    """Lay our measurements beside the published.

    Returns:
        The published rows in their order, and two combinations of losses with our own network.
        Columns `method`, the two printed ones, `year`, `note`, `is_paper`, `answers` and
        `MEASURED`. `answers` is the printed column that ours belongs to by its start, such as
        "RS(F)", and empty for a start that the paper does not have. A method measured with several
        budgets or starts has as many rows; published numbers stand in the first.
    """
    numbers = published.table(number)
    # As printed, the column of ImageNet is on the left.
    printed = sorted(numbers["column"].unique(), key=lambda column: column.endswith("(F)"))
    groups = [group for group in evidence.of_papers_network if group.first.pretraining is not None]

    def cells(name: str) -> list[dict[str, Any]]:
        known = measured_cells(evidence, protocol, name)
        known += [group.columns for group in evidence.find(groups, protocol, name)]
        return [cell | {"answers": _answers(cell, *printed)} for cell in known]

    rows: list[dict[str, Any]] = []
    for method, part in numbers.groupby("row", sort=False):
        line = {
            "method": method,
            "year": part["year"].iloc[0],
            "note": "; ".join(dict.fromkeys(note for note in part["note"] if note)),
            "is_paper": bool(part["is_paper"].iloc[0]),
        } | dict(zip(part["column"], part["value"], strict=True))
        name = _PAPERS_ROWS.get(str(method))
        rows += beside(line, cells(name) if name else [{"answers": ""}], [*printed, "year"])
    for name in ("MV", "CE"):
        line = {"method": RERUN.format(name=name), "note": "", "is_paper": False}
        rows += beside(line, cells(name))
    columns = ["method", *printed, "year", "note", "is_paper", "answers"]
    return with_measured(rows, columns)


def _answers(cell: Mapping[str, Any], imagenet: str, faces: str) -> str:
    """The printed column that a cell of ours belongs to, by its start."""
    if cell["status"] == "not run" or cell["start"] == "ImageNet":
        return imagenet
    return faces if cell["pretraining"] else ""


def measured_cells(evidence: Evidence, protocol: str, name: str) -> list[dict[str, Any]]:
    """What was measured for a cell of (I); first ImageNet's start, or that it was not run.

    Args:
        evidence: What was measured.
        protocol: Such as `morph_se`.
        name: A key of `papers.SETTINGS`.
    """
    groups = evidence.find(evidence.without_faces, protocol, name)
    # A stable order: ImageNet's first.
    cells = sorted((g.columns for g in groups), key=lambda c: c["start"] != "ImageNet")
    # Drawn faces have budgets of their own, without pre-training: those are what is asked for.
    # Nor does the paper have subject-exclusive folds of FG-NET: what was run there is enough.
    if cells and (
        cells[0]["start"] == "ImageNet" or evidence.environment != "base" or protocol == "fgnet_se"
    ):
        return cells
    return [evidence.not_run(protocol, name), *cells]


def beside(
    line: Mapping[str, Any], measured: Sequence[Mapping[str, Any]], once: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """One row a measurement; the columns `once` stand in the first alone."""
    further = {name: value for name, value in line.items() if name not in once}
    lines = [line] + [further] * (len(measured) - 1)
    return [{**_NOTHING, **left, **right} for left, right in zip(lines, measured, strict=True)]


def with_measured(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """A table of these columns and of `MEASURED`."""
    table = pd.DataFrame(rows, columns=[*columns, *MEASURED])
    return whole_numbers(table, ["year", "images", "subjects", "folds"])


def _show(contents: Contents, number: int, protocol: str) -> list[Grid]:
    table = contents.tables[f"table_{number}"]
    printed = [str(name) for name in table if str(name).endswith(("(I)", "(F)"))]
    known = table[table["status"] != ""]
    ours = {
        printed[0]: "Measured here, ImageNet start",
        printed[-1]: f"Measured here, {printed[-1]}: faces",
        "": "Measured here, other start",
    }
    ours = {column: head for column, head in ours.items() if (known["answers"] == column).any()}
    method = "{{ strong(method, is_paper) }}{{ small(losses) if is_paper }}"
    columns = [
        Column("Method", method, number=False),
        *(Column(name, _PRINTED, of=name) for name in printed),
        Column("Year", "{{ year if year is known }}"),
        *(Column(head, ENTRIES, number=False, of=head) for head in ours.values()),
    ]
    lines = []
    for _, part in table.groupby("method", sort=False):
        first = rows_of(part)[0]
        # The dagger belongs to the face pre-training, which is the last column.
        dagger = first["note"][0] if first["note"].startswith(("†", "‡")) else ""
        across: dict[str, Any] = {
            name: first | {"value": first[name], "dagger": dagger * (name == printed[-1])}
            for name in printed
        }
        measured = part[part["status"] != ""]
        across |= {
            head: {"entries": rows_of(measured[measured["answers"] == column])}
            for column, head in ours.items()
        }
        lines.append(first | {"across": across})
    caption = f"Table {number}. {protocol}: MAE in years. {STARTS.partition('. ')[0]}."
    return [Grid(caption, columns, lines, "beside", notes(table))]


def lines_beside(table: pd.DataFrame, down: str, ranked: bool = False) -> list[dict[str, Any]]:
    """Lay a table of published numbers and ours out, for columns of `BESIDE`.

    Args:
        table: A row a published number or measurement: `column`, `published` and `MEASURED`.
        down: The column whose values have a line each.
        ranked: Whether the best and the second of a column are marked.
    """
    ranks = table.groupby("column")["published"].rank(method="min")
    ranked_as = {1: "best", 2: "second"} if ranked else {}
    return [
        {
            down: name,
            "across": {
                column: {
                    "published": cell["published"].iloc[0],
                    "rank": ranked_as.get(ranks[cell.index[0]], ""),
                    "entries": rows_of(cell[cell["status"] != ""]),
                }
                for column, cell in part.groupby("column")
            },
        }
        for name, part in table.groupby(down, sort=False)
    ]
