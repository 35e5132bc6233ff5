"""Methods of others and the paper's, each at its own values, trained alike on the same images."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from contrastive_age.evaluation.confidence import cs_intervals
from contrastive_age.model import losses
from contrastive_age.reporting.groups import SETTING, Evidence, Group, families, mean, rows_of
from contrastive_age.reporting.sections.comparisons import compared, with_mv
from contrastive_age.reporting.sections.section import (
    CS5,
    LOSSES,
    MAE,
    SEEDS,
    Column,
    Grid,
    Section,
    by_family,
    meanings,
)

COLUMNS = (
    LOSSES,
    Column("MAE", MAE, "years; 95%, subjects"),
    Column(
        "Against MV",
        "{{ coloured(difference | signed, verdict) }}"
        "{{ small(low | interval(high, sign=true), verdict) }}",
        "years; 95%, subjects and networks",
    ),
    Column("p", "{{ p_holm | probability }}", "after Holm"),
    CS5,
    SEEDS,
)

_OF_OTHERS = {term.weight for name, term in losses.LOSSES.items() if name not in losses.PAPERS}
_WITH_MV = ("difference", "low", "high", "verdict", "p", "p_holm")
_ALONE = {"verdict": ""}


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay named settings beside each other wherever one of them is not the paper's.

    Returns:
        A row a setting whose losses are weighed as a named one's, the best of its family first:
        `SETTING`, `mae` with `mae_low` and `mae_high` (years), `seed_sd`, in percent `cs5` with
        `cs5_low` and `cs5_high`, and as in `comparisons.make` `difference, low, high, verdict, p,
        p_holm`: against MV, adjusted for all of the family that are held against it. They are
        missing for MV itself, and for all where it was not run.
    """
    rows: list[dict[str, Any]] = []
    for family in families(evidence.groups):
        named = evidence.papers.named(family[0].first.protocol).values()
        shown = [group for group in family if group.losses in named]
        if any(_OF_OTHERS & group.losses.keys() for group in shown):
            rows += _rows(evidence, family, shown)
    columns = ["mae", "mae_low", "mae_high", "seed_sd", "cs5", "cs5_low", "cs5_high", *_WITH_MV]
    return pd.DataFrame(rows, columns=[*SETTING, *columns])


def _rows(
    evidence: Evidence, family: Sequence[Group], shown: Sequence[Group]
) -> list[dict[str, Any]]:
    """The rows of some settings of a family, best first."""
    against = {
        row["losses"]: {name: row[name] for name in _WITH_MV}
        for row in compared(with_mv(evidence, family), "MV")
        if row["reference"] == "MV"
    }
    rows = []
    for group in sorted(shown, key=lambda group: group.columns["mae"]):
        low, high = cs_intervals(group.predictions)["5"] or (None, None)
        share = {
            "cs5": mean([run.metrics.get("cs5") for run in group.runs]),
            "cs5_low": low,
            "cs5_high": high,
        }
        rows.append(group.columns | share | against.get(group.columns["losses"], _ALONE))
    return rows


def _lay_out(rows: pd.DataFrame) -> list[Grid]:
    caption = "Best first: MAE on the same test images, and its difference from MV's."
    return [Grid(caption, COLUMNS, rows_of(rows), "cards uneven", meanings(rows))]


SECTION = Section(
    "methods",
    "Methods beside each other",
    (
        "The paper's losses and those of other people, each weighed as its named setting says, "
        "trained with one budget on the same folds. What else their authors do in training is left "
        "out: a row says what a loss does here. Contrastive losses are added to MV, which they "
        "differ from in their loss alone; rows marked “two views” also in a second view of every "
        "image, whose part in the difference is not measured.",
        "Ranking is no test. The difference from MV is paired by subject and by seed (seeds that "
        "one side has alone are left out of it), and a setting is called better or worse when its "
        "p-value is below 0.05 after Holm's adjustment, as under “Settings compared”.",
    ),
    "methods",
    make,
    show=lambda contents: by_family(contents.tables["methods"], _lay_out),
    nothing="",
)
