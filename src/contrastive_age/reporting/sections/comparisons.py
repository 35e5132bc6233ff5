"""Settings compared on the same test images: with MV, and with one another."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from contrastive_age.evaluation.comparison import Comparison, compare, holm
from contrastive_age.evaluation.theirs import against
from contrastive_age.reporting.groups import (
    FAMILY,
    SETTING,
    Evidence,
    Group,
    families,
    rows_of,
    whole_numbers,
)
from contrastive_age.reporting.results import Theirs
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

SIGNIFICANT = 0.05
"""A difference is claimed below this p-value, adjusted for the family's comparisons."""

_WORDS = "difference of MAE on the same test images; below zero is better."
_CAPTIONS = {
    "MV": f"With MV: {_WORDS}",
    "each other": f"With one another: {_WORDS}",
    "theirs": "With theirs, from a file and taken as it is: our MAE minus theirs on the same test "
    "images; below zero ours is better.",
}

MOST_PAIRS = 15
"""Of more, as of more than six settings, each is held against the one of the smallest weights."""

COLUMNS = (
    LOSSES,
    Column("Against", "{{ reference_setting }}{{ small(reference) }}", number=False),
    Column(
        "Difference",
        "{{ difference | signed }}{{ small(low | interval(high, sign=true) or 'no interval') }}",
        "years; 95%, subjects and networks",
    ),
    Column("p", "{{ p_holm | probability }}", "after Holm"),
    Column(
        "Verdict",
        "{{ coloured(verdict, verdict) }}{{ small(could_have_seen(detectable)) }}",
        number=False,
    ),
    Column(
        "Subjects",
        "{% if p is known %}{{ subjects_improved | whole }} / {{ subjects_worsened | whole }}"
        "{% else %}–{% endif %}",
        "better / worse",
    ),
    Column(
        "Seeds", "{{ seeds }}{{ small(('against ' ~ reference_seeds) if reference_seeds else '') }}"
    ),
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Compare settings, paired by subject and by seed.

    Returns:
        A row a comparison: `SETTING`, `status`, `claim` ("MV": with MV, and the ternary with the
        binary contrast; "each other": all others of the family; "theirs": with what was brought),
        `reference_setting` and `reference` (its losses, or of how many photos theirs are where
        not of all), `difference` (MAE minus the reference's; negative is better), `low` and `high`
        (its 95% interval over subjects and networks; theirs is taken as it is), `verdict`,
        `subjects_improved`, `subjects_worsened`, `p`, `p_holm` (adjusted for the comparisons of
        its family and claim, which decides the verdict), `detectable` (years, found in 80% of
        cases), `networks` (of the side that has fewer) and `reference_seeds`. Where one seed or
        few subjects tell nothing, `verdict` says so, and there is no interval, p-value or
        detectable difference. Settings without MV beside them have one row that is "not run" with
        the `command` that would, with as many seeds.
    """
    rows: list[dict[str, Any]] = []
    for family in families(evidence.groups):
        first = family[0].first
        if not evidence.find(family, first.protocol, "MV"):
            # one seed of MV would give no verdict in few folds
            seeds = max(len(group.runs) for group in family)
            rows.append(
                {name: family[0].columns[name] for name in FAMILY}
                | evidence.not_run(first.protocol, "MV", first.parameters, seeds)
                | {"losses": "", "reference": "MV", "verdict": "", "claim": "MV"}
            )
        pairs = with_mv(evidence, family)
        rows += compared(pairs, "MV")
        rows += compared(_each_other(family, pairs), "each other")
    rows += [row for theirs in evidence.theirs for row in with_theirs(evidence.groups, theirs)]
    counts = ["subjects_improved", "subjects_worsened", "networks"]
    columns = ["status", "claim", "reference_setting", "reference", "difference", "low", "high"]
    columns += ["verdict", *counts[:2], "p", "p_holm", "detectable", "networks"]
    columns += ["reference_seeds", "command"]
    return whole_numbers(pd.DataFrame(rows, columns=[*SETTING, *columns]), counts)


def with_theirs(groups: Iterable[Group], theirs: Theirs) -> list[dict[str, Any]]:
    """Hold every setting that was tested on all of their photos against what was brought.

    Args:
        groups: Of any protocols.
        theirs: What was brought.

    Returns:
        Rows as `make` has them; p-values are adjusted for all of these settings.
    """
    photos = set(theirs.predictions["sample_id"])
    held = [
        group
        for group in groups
        if group.first.protocol == theirs.protocol
        and group.first.demo == theirs.demo
        and group.first.metrics["manifest_hash"] == theirs.metrics["manifest_hash"]
        and photos <= set(group.first.predictions["sample_id"])
    ]
    compared = [against(by_seed(group), theirs.predictions) for group in held]
    return [
        row_of(group, comparison, adjusted)
        | {"claim": "theirs", "reference_setting": theirs.title, "reference": theirs.photos}
        | {"reference_seeds": ""}
        for group, comparison, adjusted in zip(held, compared, adjust(compared), strict=True)
    ]


Pair = tuple[Group, Group]
"""A setting, and the one that it is held against."""


def with_mv(evidence: Evidence, family: Sequence[Group]) -> list[Pair]:
    """All others of a family with MV, and the ternary with the binary contrast; none without MV."""
    mv, binary, ternary = (
        evidence.find(family, family[0].first.protocol, name)
        for name in ("MV", "MV + Cosine", "MV + Cosine + Triplet")
    )
    if not mv:
        return []
    pairs = [(group, mv[0]) for group in family if group is not mv[0]]
    return pairs + [(ours, theirs) for ours in ternary for theirs in binary]


def _each_other(family: Sequence[Group], others: Sequence[Pair]) -> list[Pair]:
    """All pairs of settings that are not compared yet, the larger weights against the smaller."""
    known = [{id(group) for group in pair} for pair in others]
    pairs = [
        (ours, reference)
        for reference, ours in combinations(family, 2)
        if {id(ours), id(reference)} not in known
    ]
    if len(pairs) <= MOST_PAIRS:
        return pairs
    reference = pairs[0][1]
    return [pair for pair in pairs if pair[1] is reference]


def compared(pairs: Sequence[Pair], claim: str) -> list[dict[str, Any]]:
    """The rows of pairs, whose p-values are adjusted for one another; see `make`."""
    comparisons = [compare(by_seed(ours), by_seed(reference)) for ours, reference in pairs]
    return [
        row_of(ours, comparison, adjusted)
        | {
            "claim": claim,
            "reference_setting": reference.columns["setting"],
            "reference": reference.columns["losses"],
            "reference_seeds": ", ".join(map(str, comparison.reference_seeds)),
        }
        for (ours, reference), comparison, adjusted in zip(
            pairs, comparisons, adjust(comparisons), strict=True
        )
    ]


def adjust(compared: Sequence[Comparison]) -> list[float | None]:
    """Their p-values, adjusted for one another; None where there is none."""
    adjusted = iter(holm([each.p for each in compared if each.p is not None]))
    return [None if each.p is None else float(next(adjusted)) for each in compared]


def by_seed(group: Group) -> dict[int, pd.DataFrame]:
    """The predictions of each seed."""
    return {run.seed: run.predictions for run in group.runs}


def row_of(ours: Group, comparison: Comparison, adjusted: float | None) -> dict[str, Any]:
    """A row of the table, but for what names the reference.

    Args:
        ours: A setting.
        comparison: What came of it.
        adjusted: Its p-value after Holm.
    """
    verdict = NO_DIFFERENCE if comparison.untold is None else str(comparison.untold)
    if adjusted is not None and adjusted < SIGNIFICANT:
        verdict = BETTER if comparison.difference < 0 else WORSE
    interval = comparison.interval
    return ours.columns | {
        "difference": comparison.difference,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "verdict": verdict,
        "subjects_improved": comparison.improved,
        "subjects_worsened": comparison.worsened,
        "p": comparison.p,
        "p_holm": adjusted,
        "detectable": comparison.detectable,
        "networks": comparison.networks,
        "seeds": ", ".join(map(str, comparison.seeds)),
    }


def _lay_out(rows: pd.DataFrame) -> Iterator[Grid | Missing]:
    for call in rows[rows["status"] == "not run"]["command"]:
        yield Missing("MV was not run with this budget, so nothing can be compared with it", call)
    for claim, measured in rows[rows["status"] == "measured"].groupby("claim", sort=False):
        lines, marks = rows_of(measured), meanings(measured)
        yield Grid(_CAPTIONS[str(claim)], COLUMNS, lines, "cards uneven", marks)


SECTION = Section(
    "comparisons",
    "Settings compared",
    (
        "Two settings are compared on the same test images. Another seed gives other networks and "
        "another error, so the interval is over subjects and networks together, and equal seeds "
        "are paired. One seed in fewer than ten folds cannot tell how much networks differ: there "
        "is no verdict then. Settings are compared with MV where it was run with their budget, and "
        "with one another; never with those of another budget.",
        "A difference is claimed when its p-value is below 0.05 after Holm's adjustment for all "
        "comparisons of its table, and where predictions were brought, for all settings that are "
        "held against one file; the intervals are not adjusted. No difference shown does not "
        "mean equal. What could have been seen is the true difference that is found in 80% of "
        "cases, before the adjustment; a smaller one may well be there.",
    ),
    "comparisons",
    make,
    show=lambda contents: by_family(contents.tables["comparisons"], _lay_out, all_unfolded=True),
    too_little="One setting alone cannot be compared.",
)
