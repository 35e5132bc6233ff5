"""Results beside what needs no network: the constant, and the identity lookup."""

from dataclasses import replace

import pandas as pd

from contrastive_age.reporting.groups import Evidence, rows_of
from contrastive_age.reporting.sections.section import (
    LOSSES,
    MAE,
    Column,
    Grid,
    Section,
    by_family,
)

CAPTION = (
    "Beside what needs no network. {{ leaked_share | percent if leaked_share else 'None' }} of the "
    "test images have their subject in training."
)
COLUMNS = (
    replace(LOSSES, title="Predictor"),
    Column("MAE", MAE, "years; 95%, subjects"),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay errors beside those of predictors that look at no pixel.

    Returns:
        A row a setting: `FAMILY`, `losses`, `seeds`, `mae`, `mae_low`, `mae_high`, `mae_constant`
        (always the training median), `mae_lookup` (the age in another picture of the subject) and
        `leaked_share` (percent of the test images whose subject is in training).
    """
    return evidence.table(
        ["mae", "mae_low", "mae_high", "mae_constant", "mae_lookup", "leaked_share"],
        lambda run: [
            {name: run.metrics[name] for name in ("mae_constant", "mae_lookup")}
            | {"leaked_share": 100.0 * run.metrics["leaked_share"]}
        ],
    )


def _lay_out(rows: pd.DataFrame) -> list[Grid]:
    lines = rows_of(rows)
    first = lines[0]
    blind = first | {"losses": "looks at no pixel", "mark": "", "mae_low": None, "mae_high": None}
    simple = {"Constant: the training median": first["mae_constant"]}
    if first["leaked_share"]:
        simple["Identity lookup: another picture of the subject"] = first["mae_lookup"]
    above = [blind | {"setting": name, "mae": mae} for name, mae in simple.items()]
    return [Grid(CAPTION, COLUMNS, [*above, *lines])]


SECTION = Section(
    "baselines",
    "What needs no network",
    (
        "A model is worth what it adds to a constant and, where subjects are in both training and "
        "test, to a lookup of the subject's age in another picture.",
    ),
    "baselines",
    make,
    show=lambda contents: by_family(contents.tables["baselines"], _lay_out),
)
