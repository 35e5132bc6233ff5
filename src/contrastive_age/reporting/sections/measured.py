"""Everything that was run, whether the paper has a cell for it or not."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from contrastive_age.evaluation.confidence import cs_intervals
from contrastive_age.evaluation.metrics import mean_of_means
from contrastive_age.evaluation.seeds import average_over_seeds
from contrastive_age.reporting.groups import (
    MEASURED,
    Evidence,
    Group,
    mean,
    rows_of,
    whole_numbers,
)
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
    Column("MAE", MAE, "95%, subjects"),
    Column("by subject", "{{ mae_by_subject | number }}", "MAE"),
    Column("by age", "{{ mae_by_age | number }}", "MAE"),
    Column("Bias", "{{ bias | signed }}"),
    CS5,
    Column("Constant", "{{ mae_constant | number }}", "MAE"),
    SEEDS,
)
RUNS = (
    Column("Run", "{{ key }}", "its folder", number=False),
    Column("Setting", "{{ losses }}", number=False),
    Column("MLflow", "{{ run_id or '–' }}", "run id", number=False),
)
_MEANS = ("mae_by_subject", "bias", "cs5", "mae_constant")
_OF_ALL = ("mae_by_age", "cs5_low", "cs5_high")


def make(evidence: Evidence) -> pd.DataFrame:
    """List all settings.

    Returns:
        A row a group: `protocol` and `MEASURED` but for `command`, and in years `mae_by_subject`
        and `mae_by_age` (means over subjects, and over ages, of theirs), `bias`, `mae_constant`, in
        percent `cs5` with its 95% interval `cs5_low` to `cs5_high`; each a mean over seeds.
        `anchor` names its place on the page.
    """
    rows = [
        row | {"anchor": group.anchor} | _of_all(group)
        for group in evidence.groups
        for row in group.over_seeds(
            lambda run: [{name: run.metrics.get(name) for name in _MEANS}],
            **dict.fromkeys(_MEANS, mean),
        )
    ]
    table = pd.DataFrame(rows, columns=["protocol", *MEASURED, *_MEANS, *_OF_ALL, "anchor"])
    return whole_numbers(table.drop(columns="command"), ["images", "subjects", "folds"])


def _lay_out(rows: pd.DataFrame) -> Iterator[Grid]:
    caption = "All settings: years, and CS@5 in percent of images."
    lines = [row | {"place": row["anchor"]} for row in rows_of(rows)]
    yield Grid(caption, COLUMNS, lines, notes=meanings(rows))
    runs = [
        {"losses": row["losses"], "key": key, "run_id": run_id.removesuffix(")")}
        for row in rows_of(rows)
        for run in row["runs"].split("; ")
        for key, _, run_id in [run.partition(" (MLflow ")]
    ]
    yield Grid("Runs, one a seed.", RUNS, runs)


def _of_all(group: Group) -> dict[str, Any]:
    """What results of earlier versions do not say, of all seeds together."""
    errors = average_over_seeds(group.predictions)
    by_age = mean_of_means(errors["absolute_error"], errors["age"])
    low, high = cs_intervals(group.predictions)["5"] or (None, None)
    return dict(zip(_OF_ALL, (by_age, low, high), strict=True))


SECTION = Section(
    "measured",
    "Everything that was run",
    (
        "All settings, with the paper's cells among them. Each number is a mean over seeds; “by "
        "subject” each subject weighs one, “by age” each age. Networks that were pre-trained on "
        "faces have parts of their own, marked (F).",
    ),
    "measured",
    make,
    show=lambda contents: by_family(contents.tables["measured"], _lay_out),
)
