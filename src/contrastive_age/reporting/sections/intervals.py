"""How often the intervals around predictions hold the true age, and how wide they are."""

import pandas as pd

from contrastive_age.reporting.groups import Evidence, mean
from contrastive_age.reporting.sections.section import LOSSES, Column, Layout, Section

LAYOUT = Layout(
    "Intervals meant to hold {{ '%g' | format(level) }}% of the true ages: how many they hold, "
    "and their mean width in years.",
    (
        LOSSES,
        Column("Coverage by subject", "{{ coverage_by_subject | percent }}", of="all"),
        Column(
            "{{ 'All ages' if group == 'all' else group | replace('-', '–') }}",
            "{{ coverage | percent }}{% if coverage is known %}{{ small('%.1f years wide' "
            "| format(width) if width is known else 'width not bounded') }}{% endif %}",
            "{{ '{:,} images'.format(n) }}",
            across="group",
        ),
    ),
    down="losses",
    each="level",
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out coverage and width of the intervals.

    Returns:
        A row a setting, level and age bin ("all" first): `FAMILY`, `losses`, `seeds`, `level`
        (percent), `group`, `n` images, `coverage` and `coverage_by_subject` (percent; the latter
        over all images only) and `width` (years; missing where an interval has no end); of several
        seeds means.
    """
    return evidence.table(
        ["level", "group", "n", "coverage", "coverage_by_subject", "width"],
        lambda run: [
            {"n": run.metrics["n"], "coverage_by_subject": None}
            | part
            | {"level": float(level), "group": name}
            for level, everyone in (run.metrics.get("conformal") or {}).items()
            for name, part in {"all": everyone, **everyone["by_age_bin"]}.items()
        ],
        coverage=mean,
        coverage_by_subject=mean,
        width=mean,
    )


SECTION = Section(
    "intervals",
    "Predictive intervals",
    (
        "Cross-conformal: a fold is calibrated on the errors of the other folds' subjects; nothing "
        "is retrained. The nominal share is meant for subjects, each weighing one.",
    ),
    "intervals",
    make,
    (LAYOUT,),
)
