"""For whom: error by age, sex and race, as far as they are known."""

from functools import partial

import pandas as pd

from contrastive_age.reporting.groups import Evidence, mean, of_known
from contrastive_age.reporting.sections.section import LOSSES, Column, Layout, Section

LAYOUT = Layout(
    "By {{ 'true age (years)' if kind == 'age_bin' else kind }}: MAE in years with its 95% "
    "interval, and bias.",
    (
        LOSSES,
        Column(
            "{{ group | replace('-', '–') if kind == 'age_bin' else group }}",
            "{{ mae | number }}{% if mae is known %}"
            "{{ small(mae_low | interval(mae_high), 'bias ' ~ bias | signed) }}{% endif %}",
            "{{ '{:,} images'.format(n) }}",
            across="group",
        ),
    ),
    down="losses",
    each="kind",
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out errors by group.

    Returns:
        A row a setting and group of images: `FAMILY`, `losses`, `seeds`, `kind` ("age_bin", "sex"
        or "race"), `group`, `n` images, `group_subjects`, `mae`, `mae_low`, `mae_high` and `bias`.
        Of several seeds means, and an interval from the lowest end to the highest.
    """
    return evidence.table(
        ["kind", "group", "n", "group_subjects", "mae", "mae_low", "mae_high", "bias"],
        lambda run: [
            {**part, "kind": kind, "group_subjects": part["subjects"]}
            for kind, parts in (run.metrics.get("groups") or {}).items()
            for part in parts
        ],
        mae=mean,
        bias=mean,
        mae_low=partial(of_known, min),
        mae_high=partial(of_known, max),
    )


SECTION = Section(
    "groups",
    "For whom",
    (
        "Errors differ by age, and may by sex and race. Few images make wide intervals. With "
        "several seeds an interval reaches from the lowest end to the highest.",
    ),
    "groups",
    make,
    (LAYOUT,),
)
