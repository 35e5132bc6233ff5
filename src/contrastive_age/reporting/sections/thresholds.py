"""At 18, 21 and 25: who is taken for old enough and is not, and the reverse."""

import pandas as pd

from contrastive_age.evaluation.groups import age_thresholds
from contrastive_age.reporting.groups import Evidence
from contrastive_age.reporting.sections.section import LOSSES, Column, Layout, Section

LAYOUT = Layout(
    "Share of the images on one side of an age that are predicted on the other, with its 95% "
    "interval over subjects.",
    (
        LOSSES,
        Column(
            "Under {{ age }}, predicted {{ age }} or over",
            "{{ under_predicted_over | percent }}"
            "{{ small(under_low | interval(under_high, decimals=1)) }}",
            "{{ 'of {:,}'.format(under_n) }}",
            across="age",
        ),
        Column(
            "{{ age }} or over, predicted under {{ age }}",
            "{{ over_predicted_under | percent }}"
            "{{ small(over_low | interval(over_high, decimals=1)) }}",
            "{{ 'of {:,}'.format(over_n) }}",
            across="age",
        ),
    ),
    down="losses",
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out the shares on the wrong side of each age.

    Returns:
        A row a setting and age: `FAMILY`, `losses`, `seeds` and what `groups.age_thresholds` gives;
        of several seeds means, and intervals of these.
    """
    sides = [
        f"{side}_{name}"
        for side, share in (("under", "predicted_over"), ("over", "predicted_under"))
        for name in ("n", "subjects", share, "low", "high")
    ]
    return evidence.table_of(
        ["age", *sides], lambda group: group.with_columns(age_thresholds(group.predictions))
    )


SECTION = Section(
    "thresholds",
    "At 18, 21 and 25",
    (
        "How often the predicted age is on the wrong side of an age that laws name. No such "
        "prediction may decide anything about a person.",
    ),
    "thresholds",
    make,
    (LAYOUT,),
)
