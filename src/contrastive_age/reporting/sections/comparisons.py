"""Settings compared on the same test images: with MV, and the ternary with the binary contrast."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from contrastive_age.evaluation.comparison import compare
from contrastive_age.reporting.groups import (
    FAMILY,
    Evidence,
    Group,
    families,
    rows_of,
    whole_numbers,
)
from contrastive_age.reporting.sections.section import (
    LOSSES,
    Column,
    Grid,
    Missing,
    Section,
    by_family,
    meanings,
)
from contrastive_age.reporting.wording import BETTER, NO_DIFFERENCE, WORSE

COLUMNS = (
    LOSSES,
    Column("Against", "{{ reference }}", number=False),
    Column(
        "Difference",
        "{{ difference | signed }}"
        "{{ small(low | interval(high, sign=true) or 'one subject: no interval') }}",
        "years; 95%, subjects",
    ),
    Column("Verdict", "{{ coloured(verdict, verdict) }}", number=False),
    Column("Subjects better", "{{ subjects_improved | whole }}"),
    Column("Subjects worse", "{{ subjects_worsened | whole }}"),
    Column("Seeds", "{{ seeds }}{{ small('against ' ~ reference_seeds) }}"),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Compare settings, paired by subject.

    Returns:
        A row a comparison: `FAMILY`, `status`, `losses` and their `mark`, `reference`, `difference`
        (MAE minus the reference's; negative is better), `low` and `high` (its 95% interval by
        bootstrap over subjects; seeds are averaged image by image), `verdict`, `subjects_improved`
        and `subjects_worsened`, `seeds` and `reference_seeds`. Settings without MV beside them have
        one row that is "not run" with the `command` that would.
    """
    rows: list[dict[str, Any]] = []
    for family in families(evidence.groups):
        first = family[0].first
        mv, binary, ternary = (
            evidence.find(family, first.protocol, name)
            for name in ("MV", "MV + Cosine", "MV + Cosine + Triplet")
        )
        if not mv:
            rows.append(
                {name: family[0].columns[name] for name in FAMILY}
                | evidence.not_run(first.protocol, "MV", first.parameters)
                | {"losses": "", "reference": "MV", "verdict": ""}
            )
        pairs = [(group, mv[0]) for group in family if mv and group is not mv[0]]
        pairs += [(ours, theirs) for ours in ternary for theirs in binary]
        rows += [_compared(ours, theirs) for ours, theirs in pairs]
    counts = ["subjects_improved", "subjects_worsened"]
    columns = ["status", "losses", "mark", "reference", "difference", "low", "high", "verdict"]
    columns += [*counts, "seeds", "reference_seeds", "command"]
    table = pd.DataFrame(rows, columns=[*FAMILY, *columns])
    return whole_numbers(table, counts)


def _compared(ours: Group, reference: Group) -> dict[str, Any]:
    comparison = compare(
        [run.predictions for run in ours.runs], [run.predictions for run in reference.runs]
    )
    interval = comparison.interval
    verdict = NO_DIFFERENCE
    if interval is not None and not interval.low <= 0 <= interval.high:
        verdict = BETTER if interval.high < 0 else WORSE
    return ours.columns | {
        "reference": reference.columns["losses"],
        "difference": comparison.difference,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "verdict": verdict,
        "subjects_improved": comparison.improved,
        "subjects_worsened": comparison.worsened,
        "reference_seeds": reference.columns["seeds"],
    }


def _lay_out(rows: pd.DataFrame) -> Iterator[Grid | Missing]:
    for call in rows[rows["status"] == "not run"]["command"]:
        yield Missing("MV was not run with this budget, so nothing can be compared with it", call)
    measured = rows[rows["status"] == "measured"]
    if len(measured):
        caption = "Difference of MAE on the same test images; below zero is better."
        yield Grid(caption, COLUMNS, rows_of(measured), notes=meanings(measured))


SECTION = Section(
    "comparisons",
    "Settings compared",
    (
        "Two settings are compared on the same test images. Subjects, not images, are drawn in the "
        "bootstrap; seeds are averaged image by image. A difference is shown when its interval "
        "leaves out zero.",
    ),
    "comparisons",
    make,
    show=lambda contents: by_family(contents.tables["comparisons"], _lay_out, all_unfolded=True),
    too_little="One setting alone cannot be compared.",
)
