"""Table 6: combinations of losses."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from contrastive_age.reporting import published
from contrastive_age.reporting.groups import Evidence, rows_of
from contrastive_age.reporting.sections.beside_published import (
    BESIDE,
    RERUN,
    beside,
    lines_beside,
    measured_cells,
    with_measured,
)
from contrastive_age.reporting.sections.section import (
    Column,
    Contents,
    Grid,
    Section,
    meanings,
    notes,
)

PROTOCOLS: Mapping[str, str] = {
    "FG-NET (LOPO)": "fgnet_lopo",
    "MORPH II (RS)": "morph_rs",
    "MORPH II (SE)": "morph_se",
    "FG-NET (SE)": "fgnet_se",
}
"""The columns and their protocols; the last is not in the paper."""

COLUMNS = (
    Column(
        "Loss",
        "{{ strong(loss, across.values() | selectattr('published', 'known') | list) }}"
        "{{ small('as published: another network') if loss == 'MV' }}",
        number=False,
    ),
    *(
        Column(
            name,
            BESIDE,
            "not in the paper" if protocol == "fgnet_se" else "",
            number=False,
            of=name,
        )
        for name, protocol in PROTOCOLS.items()
    ),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay our errors beside the published.

    Returns:
        A row a printed number and measurement: `loss`, `column` (of `PROTOCOLS`), `published`
        (years of MAE), `note`, `is_paper` and `MEASURED`. MV as published (another network's
        number) and MV with our network are different rows, as is CE.
    """
    numbers = published.table(6)
    reruns = {RERUN.format(name=name): name for name in ("CE", "MV")}
    names = {"MV": "", **reruns} | {name: name for name in numbers["row"] if name != "MV"}
    cells = pd.MultiIndex.from_product([names, PROTOCOLS], names=["loss", "column"])
    printed = numbers.set_index(["row", "column"])[["value", "note", "is_paper"]].reindex(cells)
    # Where the paper prints nothing there is no note.
    lines = printed.assign(note=printed["note"].fillna(""), is_paper=printed["is_paper"].eq(True))
    rows: list[dict[str, Any]] = []
    for line in rows_of(lines.rename(columns={"value": "published"}).reset_index()):
        name, protocol = names[line["loss"]], PROTOCOLS[line["column"]]
        measured = measured_cells(evidence, protocol, name) if name else [{}]
        rows += beside(line, measured, once=["published"])
    return with_measured(rows, ["loss", "column", "published", "note", "is_paper"])


def show(contents: Contents) -> list[Grid]:
    """A line a combination, with the paper's number and ours in one cell."""
    table = contents.tables["table_6"]
    caption = "Table 6. Combinations of losses: MAE in years."
    best = "Published: the best of a column is bold, the second underlined, as in the paper."
    lines = lines_beside(table, "loss", ranked=True)
    return [Grid(caption, COLUMNS, lines, "cards", [best, *notes(table), *meanings(table)])]


SECTION = Section(
    "table-6",
    "Table 6: losses",
    (
        "The paper's MV row is the number that MV [31] published, of another network. MV and CE "
        "were therefore rerun with our own network. Networks that were pre-trained on faces (F) "
        "are not in this table.",
    ),
    "table_6",
    make,
    show=show,
)
