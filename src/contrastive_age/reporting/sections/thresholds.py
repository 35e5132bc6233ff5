"""At 18, 21 and 25: who is taken for old enough and is not, and the reverse."""

import pandas as pd

from contrastive_age.reporting.groups import Evidence, mean
from contrastive_age.reporting.sections.section import LOSSES, Column, Layout, Section

LAYOUT = Layout(
    "Share of the images on one side of an age that are predicted on the other.",
    (
        LOSSES,
        Column(
            "Under {{ age }}, predicted {{ age }} or over",
            "{{ under_predicted_over | percent }}",
            "{{ 'of {:,}'.format(under_n) }}",
            across="age",
        ),
        Column(
            "{{ age }} or over, predicted under {{ age }}",
            "{{ over_predicted_under | percent }}",
            "{{ 'of {:,}'.format(over_n) }}",
            across="age",
        ),
    ),
    down="losses",
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out the shares on the wrong side of each age.

    Returns:
        A row a setting and age: `FAMILY`, `losses`, `seeds`, `age`, `under_n` and `over_n` (images
        of truly younger, and of at least that age), `under_predicted_over` and
        `over_predicted_under` (percent of them that are predicted to be on the other side); of
        several seeds means.
    """
    return evidence.table(
        ["age", "under_n", "under_predicted_over", "over_n", "over_predicted_under"],
        lambda run: run.metrics.get("thresholds"),
        under_predicted_over=mean,
        over_predicted_under=mean,
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
