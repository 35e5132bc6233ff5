"""How often the intervals around predictions hold the true age, and how wide they are."""

from functools import partial
from typing import Any

import pandas as pd

from contrastive_age.reporting.groups import SETTING, Evidence, mean
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections.section import LOSSES, Column, Layout, Section

PARTS = {"predicted": "by_predicted", "true": "by_age_bin"}
"""What the ages of a group are, and its name in `metrics.json`."""

LAYOUT = Layout(
    "Intervals meant to hold {{ '%g' | format(level) }}% of the true ages, by {{ ages }} age: how "
    "many they hold, and their mean width in years.",
    (
        LOSSES,
        Column("Coverage by subject", "{{ coverage_by_subject | percent }}", of="all"),
        Column(
            "{{ 'All ages' if group == 'all' else group | replace('-', '–') }}",
            "{{ coverage | percent }}{% if coverage is known %}{{ small('%.1f years wide' "
            "| format(width) if width is known else 'width not bounded', "
            "(n | round) | counted('image')) }}{% endif %}",
            across="group",
        ),
    ),
    down="losses",
    each=["level", "ages"],
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out coverage and width of the intervals.

    Returns:
        A row a setting, level and group of images ("all" first): `FAMILY`, `losses`, `seeds`,
        `level` (percent), `ages` (those that name the group: "predicted" in decades, which earlier
        results do not tell, or "true" in the paper's bins), `group`, `n` images, `coverage` and
        `coverage_by_subject` (percent; the latter over all images only) and `width` (years; missing
        where an interval has no end); of several seeds means. Decades of which no image is
        predicted are left out.
    """
    rows = [
        row
        for group in evidence.groups
        for ages in PARTS
        for row in group.over_seeds(
            partial(_rows, ages), n=mean, coverage=mean, coverage_by_subject=mean, width=mean
        )
        if ages == "true" or row["n"]
    ]
    columns = ("level", "ages", "group", "n", "coverage", "coverage_by_subject", "width")
    return pd.DataFrame(rows, columns=[*SETTING, *columns])


def _rows(ages: str, run: Measured) -> list[dict[str, Any]]:
    return [
        {"coverage_by_subject": None} | part | {"level": float(level), "ages": ages, "group": name}
        for level, everyone in (run.metrics.get("conformal") or {}).items()
        if PARTS[ages] in everyone
        for name, part in {
            "all": everyone | {"n": run.metrics["n"]},
            **everyone[PARTS[ages]],
        }.items()
    ]


SECTION = Section(
    "intervals",
    "Predictive intervals",
    (
        "Cross-conformal: a fold is calibrated on the errors of the other folds' subjects; nothing "
        "is retrained. The width follows the predicted age where ten people calibrate; where fewer "
        "than 4 do at 80%, or 19 at 95%, intervals have no upper end, and hold everyone. The "
        "nominal share is meant for subjects, each weighing one, and for every predicted age "
        "alike.",
        "By true age no method can promise it: the true age is what is not known, and whoever is "
        "predicted far from it is missed by any interval around the prediction. Ages that the "
        "networks shrink from, such as the highest, may therefore be held far less often.",
    ),
    "intervals",
    make,
    (LAYOUT,),
)
