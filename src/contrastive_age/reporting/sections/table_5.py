"""Table 5: mean variance within an identity, of features and of the softmax."""

from statistics import fmean
from typing import Any

import pandas as pd

from contrastive_age.reporting import published
from contrastive_age.reporting.groups import Evidence, Group, of_known, rows_of
from contrastive_age.reporting.sections.beside_published import (
    BESIDE,
    beside,
    lines_beside,
    with_measured,
)
from contrastive_age.reporting.sections.section import Column, Contents, Grid, Section, notes

_PROTOCOLS = {"FG-NET": ("fgnet_lopo", "fgnet_se"), "MORPH II": ("morph_se", "morph_rs")}
_OF_MAE = ["mae", "mae_low", "mae_high", "seed_sd"]

COLUMNS = (
    Column("Data set and output", "{{ line.row }}", number=False),
    Column("MV", BESIDE, number=False, of="MV"),
    Column("Ours", BESIDE, "here: MV + Cosine + Triplet", number=False, of="Ours"),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay our variances beside the published.

    The paper does not say by which protocol, nor whether its own column is the binary or the
    ternary contrast: all our protocols of a data set are given, with the ternary. What it calls a
    variance of the softmax is beyond what probabilities can have; ours is of the probabilities.

    Returns:
        A row a printed number and measurement: `row` (as printed), `column` ("MV" or "Ours"),
        `published`, `note`, `is_paper`, `protocol` (ours), `here` (mean over seeds) and the columns
        of `MEASURED` that say where it comes from.
    """
    rows: list[dict[str, Any]] = []
    for number in rows_of(published.table(5)):
        name = "MV" if number["column"] == "MV" else "MV + Cosine + Triplet"
        output = "features" if number["row"].endswith("μ(V_f)") else "probabilities"
        line = {key: number[key] for key in ("row", "column", "note", "is_paper")}
        cells = []
        for place, protocol in enumerate(_PROTOCOLS[number["row"].partition(" μ")[0]]):
            measured = [
                {**group.columns, "here": variance}
                for group in evidence.find(evidence.without_faces, protocol, name)
                if (variance := _variance(group, output)) is not None
            ]
            cells += measured or ([evidence.not_run(protocol, name)] if place == 0 else [])
        rows += beside(line | {"published": number["value"]}, cells, once=["published"])
    columns = ["row", "column", "published", "note", "is_paper", "protocol", "here"]
    return with_measured(rows, columns).drop(columns=_OF_MAE)


def _variance(group: Group, output: str) -> float | None:
    """The variance of an output, the mean over the seeds that have it."""
    documents = [run.identity["variance"] for run in group.runs if run.identity]
    return of_known(fmean, [document.get(output) for document in documents])


def show(contents: Contents) -> list[Grid]:
    """A line an output, with the paper's number and ours in one cell."""
    table = contents.tables["table_5"]
    caption = "Table 5. Mean variance within an identity of the features f and the softmax s."
    return [Grid(caption, COLUMNS, lines_beside(table, "row"), "cards", notes(table))]


SECTION = Section(
    "table-5",
    "Table 5: variance within an identity",
    (
        "The paper reads a larger variance as less dependence on identity. But variance grows with "
        "the scale of the outputs; measures without scale stand under “Identity” below.",
    ),
    "table_5",
    make,
    show=show,
)
