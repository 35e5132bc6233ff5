"""Networks of one data set, tested on another, beside what others published of the pair."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from contrastive_age.reporting import published
from contrastive_age.reporting.groups import Evidence, rows_of
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections.section import (
    LOSSES,
    MAE,
    SEEDS,
    Column,
    Grid,
    Section,
    by_family,
    notes,
)

COLUMNS = (
    replace(LOSSES, title="Network"),
    Column("MAE", MAE, "years; 95%, subjects"),
    Column("Constant", "{{ mae_constant | number }}", "MAE"),
    # Of a published figure nothing is known of seeds.
    replace(SEEDS, cell=f"{{% if seeds %}}{SEEDS.cell}{{% endif %}}"),
)
_PUBLISHED = {"mark": "", "seeds": "", "mae_low": None, "mae_high": None, "mae_constant": None}
_NAMES = ("mae", "mae_low", "mae_high", "seed_sd", "mae_constant")


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay the errors across data sets out.

    Returns:
        A row a setting of a transfer: `SETTING`, and in years `mae` with its 95% interval `mae_low`
        to `mae_high`, their SD over seeds `seed_sd`, and `mae_constant`.
    """
    return evidence.table(_NAMES, _of_transfer)


def _of_transfer(run: Measured) -> Sequence[Mapping[str, Any]] | None:
    if run.parameters.get("trained_on") is None:
        return None
    return [{"mae_constant": run.metrics["mae_constant"]}]


def _lay_out(rows: pd.DataFrame) -> list[Grid]:
    numbers = published.of_protocol(rows["protocol"].iloc[0])
    above = [
        _PUBLISHED
        | {"setting": f"{row['row']}, published", "losses": row["column"], "mae": row["value"]}
        for row in rows_of(numbers)
    ]
    return [Grid("MAE in years.", COLUMNS, [*above, *rows_of(rows)], notes=notes(numbers))]


SECTION = Section(
    "transfers",
    "Across data sets",
    (
        "All of one data set trains, all of another is tested; none of it is the paper's. Of 0 "
        "epochs the initial weights are tested as they are. The constant is the median of the ages "
        "that train; where nothing does, that of the tested ones, than which none errs less.",
    ),
    "transfers",
    make,
    show=lambda contents: by_family(contents.tables["transfers"], _lay_out),
    nothing="No network was tested on another data set than it was trained on.",
)
