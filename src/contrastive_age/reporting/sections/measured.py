"""Everything that was run, whether the paper has a cell for it or not."""

import pandas as pd

from contrastive_age.reporting.groups import MEASURED, Evidence, mean, whole_numbers
from contrastive_age.reporting.sections.section import MAE, SEEDS, Column, Layout, Section

LAYOUT = Layout(
    "All settings: years, and CS@5 in percent of images.",
    (
        Column("Losses", "{{ losses }}{{ small(setting, mark) }}", number=False),
        Column("MAE", MAE, "95%, subjects"),
        Column("MAE by subject", "{{ mae_by_subject | number }}"),
        Column("Bias", "{{ bias | signed }}"),
        Column("CS@5", "{{ cs5 | percent }}"),
        Column("Constant", "{{ mae_constant | number }}", "MAE"),
        SEEDS,
        Column("Runs", "{{ small(runs.replace('; ', '\\n')) }}", number=False),
    ),
)
_MEANS = ("mae_by_subject", "bias", "cs5", "mae_constant")


def make(evidence: Evidence) -> pd.DataFrame:
    """List all settings.

    Returns:
        A row a group: `protocol`, `setting` (the names it was run under) and `MEASURED` but for
        `command`, and in years `mae_by_subject` (mean over subjects of theirs), `bias`,
        `mae_constant`, in percent `cs5`; each a mean over seeds.
    """
    rows = [
        row | {"setting": ", ".join(dict.fromkeys(r.setting for r in group.runs + group.repeats))}
        for group in evidence.groups
        for row in group.over_seeds(
            lambda run: [{name: run.metrics.get(name) for name in _MEANS}],
            **dict.fromkeys(_MEANS, mean),
        )
    ]
    table = pd.DataFrame(rows, columns=["protocol", "setting", *MEASURED, *_MEANS])
    return whole_numbers(table.drop(columns="command"), ["images", "subjects", "folds"])


SECTION = Section(
    "measured",
    "Everything that was run",
    (
        "All settings, with the paper's cells among them. Each number is a mean over seeds. "
        "Networks that were pre-trained on faces have parts of their own, marked (F).",
    ),
    "measured",
    make,
    (LAYOUT,),
)
