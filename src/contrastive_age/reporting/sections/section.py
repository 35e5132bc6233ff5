"""What a section of the page is: words, and tables, pictures and parts that show what tables hold.

A cell of the page is a line of Jinja in its column: the values of the table's row by name, set by
the filters of `wording`, such as `{{ mae | number }}{{ small(mae_low | interval(mae_high)) }}`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd

from contrastive_age.reporting import wording
from contrastive_age.reporting.groups import FAMILY, Evidence, rows_of
from contrastive_age.reporting.papers import MARKS, Papers
from contrastive_age.reporting.pictures import Picture

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table on the page.

    Attributes:
        title: Its head.
        cell: Jinja, from a line's values.
        small: Below the title.
        number: Whether it stands on the right.
        across: In a `Layout` the column of the table for each of whose values this one is
            repeated; title and small are then Jinja, from the first of its rows.
        of: Where a line has a record of its own for this column: which. A line that lacks it has an
            en dash there.
        head: What title and small are filled with.
    """

    title: str
    cell: str
    small: str = ""
    number: bool = True
    across: str = ""
    of: Any = None
    head: Line = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """A table on the page.

    Attributes:
        caption: What it shows, with the unit; Jinja, from the first line's values.
        columns: The first holds the lines' heads.
        lines: Values by name; `across` holds the records of columns that have an `of`, and `place`,
            where it is there, names the line's place for links.
        shape: How it fits a phone: "beside" puts the columns of our measurements below each row,
            "cards" makes a card of each row, "plain" scrolls in a box of its own. Columns of cards
            are of one width on a wide page, but for "cards uneven".
        notes: Lines below.
    """

    caption: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    shape: Literal["beside", "cards", "cards uneven", "plain"] = "plain"
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Layout:
    """How the rows of a family become tables on the page.

    Attributes:
        caption: As `Grid.caption`.
        columns: Those with an `across`, which all have the same, are repeated together at the end.
        down: The column whose values have a line each, where columns are repeated across; else each
            row has one.
        each: The column, or columns, for whose values there is a table each.
    """

    caption: str
    columns: Sequence[Column]
    down: str = ""
    each: str | list[str] = "protocol"

    def grids(self, rows: pd.DataFrame) -> Iterator[Grid]:
        """The tables of these rows."""
        fixed = [column for column in self.columns if not column.across]
        repeated = [column for column in self.columns if column.across]
        for _, part in rows.groupby(self.each, sort=False):
            if not repeated:
                yield Grid(self.caption, fixed, rows_of(part), notes=meanings(part))
                continue
            across = repeated[0].across
            heads = rows_of(part.drop_duplicates(across))
            columns = [replace(c, of=head[across], head=head) for head in heads for c in repeated]
            lines = _matrix(part, self.down, across)
            yield Grid(self.caption, [*fixed, *columns], lines, notes=meanings(part))


@dataclass(frozen=True)
class Missing:
    """Something that was not run, and what would run it."""

    what: str
    command: str

    def in_environment(self, environment: str) -> "Missing":
        """The same in an environment of the configuration, unless the command names one."""
        if environment == "base" or "--env=" in self.command:
            return self
        call, _, options = self.command.partition(" --")
        return replace(self, command=f"{call} --env={environment} --{options}")


@dataclass(frozen=True)
class Part:
    """A part of a section that a reader can fold away.

    Attributes:
        title: Its heading.
        small: A line below it.
        blocks: Tables, pictures and commands in their order.
        unfolded: Whether it is shown at first.
    """

    title: str
    small: str
    blocks: Sequence[Grid | Picture | Missing]
    unfolded: bool = True


Block = Grid | Picture | Missing | Part


@dataclass(frozen=True)
class Contents:
    """What the page shows: nothing is computed from it.

    Attributes:
        tables: The report's tables by name.
        papers: What the paper set.
        pictures: By name: "figure_2" (example predictions, Grad-CAM of two settings side by side),
            "attention" (mean maps), "calibration" (of the softmax), and "on_faces" (all of them, of
            networks that were pre-trained on faces).
    """

    tables: Mapping[str, pd.DataFrame]
    papers: Papers
    pictures: Mapping[str, Sequence[Picture]]

    def rows(self, table: str, *, on_faces: bool) -> pd.DataFrame:
        """The rows of networks that were pre-trained on faces, or those of all others."""
        rows = self.tables[table]
        return rows[(rows["pretraining"] != "") == on_faces]


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        anchor: Its name in links.
        title: Its heading.
        words: Paragraphs above what it shows.
        table: The name of its own table, which is written as a CSV; empty where it has none.
        make: Makes that table.
        layouts: How each family's rows of its table are shown, in parts of their own.
        pictures: The name of the pictures before them.
        show: What it shows in place of all that.
        nothing: Said in place of the words where there is nothing to show; a section that says
            nothing is then left out of the page.
        too_little: The same where settings were measured all the same.
        missing: What would give it something to show.
    """

    anchor: str
    title: str
    words: Sequence[str]
    table: str = ""
    make: Callable[[Evidence], pd.DataFrame] | None = None
    layouts: Sequence[Layout] = ()
    pictures: str = ""
    show: Callable[[Contents], Sequence[Block]] | None = None
    nothing: str = "Nothing has been measured yet."
    too_little: str = ""
    missing: Missing | None = None

    def blocks(self, contents: Contents) -> Sequence[Block]:
        """What stands below its words."""
        if self.show is not None:
            return self.show(contents)
        parts = by_family(contents.tables[self.table], self._lay_out) if self.table else []
        return [*contents.pictures.get(self.pictures, ()), *parts]

    def _lay_out(self, rows: pd.DataFrame) -> list[Grid]:
        return [grid for layout in self.layouts for grid in layout.grids(rows)]


LOSSES = Column("Setting", "{{ setting }}{{ small(losses, mark) }}", number=False)
"""The column that names a setting."""

MAE = "{{ mae | number }}{{ small(mae_low | interval(mae_high)) }}"
"""A cell of an error with its interval."""

CS5 = Column(
    "CS@5",
    "{{ cs5 | percent }}{{ small(cs5_low | interval(cs5_high, decimals=1)) }}",
    "95%, subjects",
)
"""The column of the share of images within five years."""

DIFFERENCE = Column(
    "Difference",
    "{{ difference | signed }}{{ small(low | interval(high, sign=true)) }}",
    "years; 95%, subjects and networks",
)
"""The column of a paired difference with its interval."""

SEEDS = Column("Seeds", "{{ seeds }}{{ small(seed_sd | seed_spread) }}", "SD of MAE")
"""The column of the seeds of a mean, and their spread, or that there is only one."""


def by_family(
    table: pd.DataFrame,
    lay_out: Callable[[pd.DataFrame], Iterable[Grid | Missing]],
    all_unfolded: bool = False,
) -> list[Part]:
    """Lay out each family's rows in a part of its own.

    Args:
        table: With the columns `FAMILY`.
        lay_out: Makes tables of one family's rows.
        all_unfolded: Whether all parts are shown at first, or the first alone.
    """
    families = table.groupby(list(FAMILY), sort=False, dropna=False)
    return [
        Part(*heading(rows_of(rows)[0]), list(lay_out(rows)), all_unfolded or place == 0)
        for place, (_, rows) in enumerate(families)
    ]


def heading(row: Mapping[str, Any]) -> tuple[str, str]:
    """A family's title and what its settings have in common, from any of its rows."""
    title, about = wording.protocol_name(row["protocol"]), [row["budget"], wording.data(row)]
    if row["pretraining"]:
        title, about = f"{title}, {wording.ON_FACES}", [about[0], row["pretraining"], about[1]]
    return title, "; ".join(about)


def _matrix(table: pd.DataFrame, down: str, across: str) -> list[Line]:
    """Lay a long table out in two directions.

    Args:
        table: A row a pair of values of two columns.
        down: The column whose values have a line each, in their order.
        across: The column by whose values a line's records are known.

    Returns:
        The values of each line's first row, and its records in `across`.
    """
    return [
        {**records[0], "across": {record[across]: record for record in records}}
        for _, rows in table.groupby(down, sort=False)
        for records in [rows_of(rows)]
    ]


def meanings(table: pd.DataFrame) -> list[str]:
    """What the marks of a table's rows mean, where it has any."""
    marks = {mark for marks in table.get("mark", ()) for mark in marks.split("; ")}
    return [meaning for mark, meaning in MARKS.items() if mark in marks]


def notes(table: pd.DataFrame) -> list[str]:
    """Each of the published numbers' notes once, as a sentence."""
    different = dict.fromkeys(note for note in table["note"] if note)
    return [f"{note[0].upper()}{note[1:]}." for note in different]
