"""What a page is made of: sections with paragraphs, tables and pictures, free of any markup."""

import io
from dataclasses import dataclass, field
from typing import Literal

from matplotlib.figure import Figure

PICTURE_DPI = 150
WIDE = 1100  # pixels


@dataclass(frozen=True)
class Entry:
    """One of our measurements in a cell, or that it was not run.

    Attributes:
        value: The number, such as "4.95"; empty where it was not run.
        interval: Such as "[4.50, 5.41]".
        tags: What a reader must not overlook, such as "drawn faces".
        remarks: Less urgent words, such as the budget in short.
        facts: Names and values of where it comes from.
        command: What would run it.
    """

    value: str = ""
    interval: str = ""
    tags: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What it says; empty is shown as such.
        small: Further lines below, in one text.
        entries: Our measurements, in place of a text.
        published: The paper's number beside them, where both stand in one cell.
        strong: Whether it is set off, as are the paper's own rows.
        mark: "better", "worse" or "", shown by colour beside the words.
    """

    text: str = ""
    small: str = ""
    entries: tuple[Entry, ...] = ()
    published: str = ""
    strong: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """The head of a column; numbers stand on the right."""

    title: str
    small: str = ""
    number: bool = True


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        caption: What it shows, with the unit.
        columns: Heads; the first heads the rows' own heads.
        rows: As many cells each as there are columns.
        shape: How it fits a phone: "beside" puts the columns of our measurements below each row,
            "cards" makes a card of each row, "plain" scrolls in a box of its own.
        notes: Lines below.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shape: Literal["beside", "cards", "plain"] = "plain"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        png: The image.
        caption: Shown below.
        alt: What it shows, for readers who do not see it.
        photos: Whether people's photographs are in it; the page then says so.
    """

    png: bytes = field(repr=False)
    caption: str
    alt: str
    photos: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as the head of the PNG says."""
        return int.from_bytes(self.png[16:20], "big"), int.from_bytes(self.png[20:24], "big")

    @property
    def wide(self) -> bool:
        """Whether a phone had better show it in a box that scrolls."""
        return self.size[0] > WIDE

    @classmethod
    def of(cls, figure: Figure, caption: str, alt: str, photos: bool = False) -> "Picture":
        """Take a matplotlib figure."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=PICTURE_DPI)
        return cls(buffer.getvalue(), caption, alt, photos)


@dataclass(frozen=True)
class Command:
    """Something that was not run, and what would run it."""

    what: str
    command: str


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
    blocks: tuple[Grid | Picture | Command, ...]
    unfolded: bool = True


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: Its name in links.
        title: Its heading.
        paragraphs: Plain text before everything else.
        blocks: Parts, tables, pictures and commands in their order.
    """

    anchor: str
    title: str
    paragraphs: tuple[str, ...] = ()
    blocks: tuple[Grid | Picture | Command | Part, ...] = ()
