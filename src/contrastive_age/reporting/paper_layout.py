"""The paper's tables laid out for the page: its numbers, and ours beside them as entries."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from contrastive_age.reporting import wording
from contrastive_age.reporting.elements import Cell, Column, Entry, Grid
from contrastive_age.reporting.paper import TABLE_6_COLUMNS
from contrastive_age.reporting.results import rows_of
from contrastive_age.sources.ages import AGE_BINS

IMAGENET_COLUMN = "Measured here, ImageNet start"
FACES_COLUMN = "Measured here, {column}: faces"
OTHER_COLUMN = "Measured here, other start"

_BEST, _SECOND = 1, 2


def ages(table: pd.DataFrame) -> Grid:
    """Table 1.

    Args:
        table: As `paper.table_1` gives it.
    """
    columns = (
        Column("Data set", number=False),
        Column("Origin", number=False),
        *(Column(f"{name.replace('-', '–')} years") for name in AGE_BINS),
        Column("All"),
        Column("Identities"),
        Column("Against the paper", number=False),
    )
    rows = []
    for row in rows_of(table):
        if row["status"] == "not run":
            missing = Entry(command=row["command"])
            blank = [Cell("")] * (len(AGE_BINS) + 3)
            rows.append((Cell(row["data_set"]), Cell("here", entries=(missing,)), *blank))
            continue
        here = row["origin"] == "here"
        difference = row["difference"] if here else ""
        agreement = {"none": "agrees in every bin", "": ""}.get(difference, str(difference))
        about = f"manifest {str(row['manifest_hash'])[:8]}" if here else ""
        if here and row["drawn_faces"]:
            about, agreement = f"{about}, {wording.DRAWN}", ""
        rows.append(
            (
                Cell(row["data_set"]),
                Cell("here" if here else "published", small=about),
                *(Cell(wording.whole(row[name])) for name in (*AGE_BINS, "total")),
                Cell(wording.whole(row["identities"]) if here else ""),
                Cell(agreement),
            )
        )
    caption = "Table 1. Images by age: as published, and as counted here."
    notes = (
        "The paper prints “>60” for the last; with 60 included its counts are the data sets’.",
    )
    return Grid(caption, columns, tuple(rows), "plain", notes)


def results(number: int, table: pd.DataFrame, protocol: str) -> Grid:
    """Tables 2, 3 and 4.

    Args:
        number: Of the table.
        table: As `paper.table_2` gives it.
        protocol: In words.
    """
    printed = [str(name) for name in table if str(name).endswith(("(I)", "(F)"))]
    measured = table["status"] == "measured"
    on_faces = measured & (table["pretraining"] != "")
    elsewhere = measured & ~on_faces & (table["start"] != "ImageNet")
    known = measured | (table["status"] == "not run")
    ours = [
        (IMAGENET_COLUMN, known & ~on_faces & ~elsewhere),
        (FACES_COLUMN.format(column=printed[-1]), on_faces),
        (OTHER_COLUMN, elsewhere),
    ]
    ours = [(title, rows) for title, rows in ours if rows.any()]
    columns = (
        Column("Method", number=False),
        *(Column(name) for name in printed),
        Column("Year"),
        *(Column(title, number=False) for title, _ in ours),
    )
    rows = []
    for method, part in table.groupby("method", sort=False):
        first = part.iloc[0]
        own = bool(first["is_paper"])
        mark = first["note"][0] if first["note"].startswith(("†", "‡")) else ""
        numbers = [wording.number(first[name]) if pd.notna(first[name]) else "" for name in printed]
        # The dagger belongs to the face pre-training, which is the last column.
        numbers[-1] += mark
        rows.append(
            (
                Cell(str(method), first["losses"] if own else "", strong=own),
                *(Cell(text, strong=own) for text in numbers),
                Cell("" if pd.isna(first["year"]) else str(first["year"])),
                *(Cell(entries=_entries(part[mine[part.index]])) for _, mine in ours),
            )
        )
    return Grid(
        f"Table {number}. {protocol}: MAE in years. (I) is pre-training on ImageNet, (F) on faces.",
        columns,
        tuple(rows),
        "beside",
        _notes(table),
    )


def identity(table: pd.DataFrame) -> Grid:
    """Table 5.

    Args:
        table: As `paper.table_5` gives it.
    """
    columns = (
        Column("Data set and output", number=False),
        Column("MV", number=False),
        Column("Ours", small="here: MV + Cosine + Triplet", number=False),
    )
    rows = [
        (
            Cell(str(name)),
            *(_beside(part[part["column"] == column], decimals=2) for column in ("MV", "Ours")),
        )
        for name, part in table.groupby("row", sort=False)
    ]
    return Grid(
        "Table 5. Mean variance within an identity of the features f and the softmax s.",
        columns,
        tuple(rows),
        "cards",
        _notes(table),
    )


def losses(table: pd.DataFrame) -> Grid:
    """Table 6.

    Args:
        table: As `paper.table_6` gives it.
    """
    columns = (
        Column("Loss", number=False),
        *(
            Column(name, "not in the paper" if protocol == "fgnet_se" else "", number=False)
            for name, protocol in TABLE_6_COLUMNS.items()
        ),
    )
    places = table.groupby("column")["published"].rank(method="min")
    rows = []
    for name, part in table.groupby("loss", sort=False):
        cells = [
            _beside(part[part["column"] == column], places=places) for column in TABLE_6_COLUMNS
        ]
        published = part["published"].notna().any()
        small = "as published: another network" if name == "MV" else ""
        rows.append((Cell(str(name), small=small, strong=bool(published)), *cells))
    return Grid(
        "Table 6. Combinations of losses: MAE in years.",
        columns,
        tuple(rows),
        "cards",
        (
            "Published: the best of a column is bold, the second underlined, as in the paper.",
            *_notes(table),
        ),
    )


def _beside(part: pd.DataFrame, places: pd.Series | None = None, decimals: int = 2) -> Cell:
    """A cell with the paper's number and our entries."""
    known = part["published"].dropna()
    place = places.get(known.index[0]) if places is not None and len(known) else None
    return Cell(
        published=wording.number(known.iloc[0], decimals) if len(known) else "",
        mark={_BEST: "best", _SECOND: "second"}.get(place, "") if place else "",
        entries=_entries(part[part["status"] != ""]),
    )


def _notes(table: pd.DataFrame) -> tuple[str, ...]:
    """Each note once, as a sentence."""
    notes = dict.fromkeys(note for note in table["note"] if note)
    return tuple(f"{note[0].upper()}{note[1:]}." for note in notes)


def _entries(rows: pd.DataFrame) -> tuple[Entry, ...]:
    return tuple(entry(row) for row in rows_of(rows))


def entry(row: Mapping[str, Any]) -> Entry:
    """One of our measurements.

    Args:
        row: The columns `paper.MEASURED`, or those of Table 5 with `here` in place of the MAE.
    """
    if row["status"] == "not run":
        return Entry(command=row["command"])
    value = row["here"] if "here" in row else row["mae"]
    write = wording.significant if "here" in row else wording.number
    seeds = row["seeds"].split(", ")
    several = []
    if len(seeds) > 1:
        spread = f", SD {wording.number(row['seed_sd'])}" if "seed_sd" in row else ""
        several = [f"{len(seeds)} seeds{spread}"]
    protocol = [row["protocol"]] if "protocol" in row else []
    before = [f"before: {row['pretraining']}"] if row["pretraining"] else []
    return Entry(
        value=write(value),
        interval=wording.interval(row.get("mae_low"), row.get("mae_high")),
        tags=wording.tags(row),
        remarks=(*protocol, *several, wording.budget_in_short(row["budget"]), *before),
        facts=(
            *(("Protocol", wording.protocol_name(name)) for name in protocol),
            ("Losses", row["losses"]),
            ("Budget", row["budget"]),
            *((("Pre-trained on", row["pretraining"]),) if before else ()),
            ("Data", wording.data(row)),
            ("Seeds", row["seeds"]),
            ("Runs", row["runs"]),
        ),
    )
