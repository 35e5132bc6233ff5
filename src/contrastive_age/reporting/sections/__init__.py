"""The sections of the report, a file each, in the order of the page."""

from contrastive_age.reporting.sections import (
    attention,
    baselines,
    calibration,
    comparisons,
    figure_2,
    figure_3,
    groups,
    identity,
    intervals,
    measured,
    methods,
    on_faces,
    picked,
    recipe,
    selection,
    sweeps,
    table_1,
    table_2,
    table_3,
    table_4,
    table_5,
    table_6,
    thresholds,
    transfers,
    your_runs,
)
from contrastive_age.reporting.sections.section import Section

YOURS: tuple[Section, ...] = (
    your_runs.SECTION,
    sweeps.SECTION,
    comparisons.SECTION,
    methods.SECTION,
    recipe.SECTION,
)
"""Those that say what was run, without the paper."""

SECTIONS: tuple[Section, ...] = (
    *YOURS,
    table_1.SECTION,
    table_2.SECTION,
    table_3.SECTION,
    table_4.SECTION,
    figure_2.SECTION,
    table_5.SECTION,
    table_6.SECTION,
    figure_3.SECTION,
    transfers.SECTION,
    on_faces.SECTION,
    picked.SECTION,
    baselines.SECTION,
    groups.SECTION,
    thresholds.SECTION,
    intervals.SECTION,
    calibration.SECTION,
    identity.SECTION,
    attention.SECTION,
    selection.SECTION,
    measured.SECTION,
)
