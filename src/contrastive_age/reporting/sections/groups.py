"""For whom: error by age, sex and race, as far as they are known."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from contrastive_age.evaluation.groups import group_report, predicted_range, tail_words
from contrastive_age.reporting.groups import Evidence, Group, mean, rows_of
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections.section import (
    LOSSES,
    Column,
    Grid,
    Layout,
    Section,
    by_family,
)

LAYOUT = Layout(
    "By {{ {'age_bin': 'true age (years)', 'decade': 'decade of the true age (years)'}"
    ".get(kind, kind) }}: MAE in years with its 95% interval, and bias.",
    (
        LOSSES,
        Column(
            "{{ group | replace('-', '–') if kind in ('age_bin', 'decade') else group }}",
            "{{ mae | number }}{% if mae is known %}"
            "{{ small(mae_low | interval(mae_high), 'bias ' ~ bias | signed) }}{% endif %}",
            "{{ n | counted('image') }}",
            across="group",
        ),
    ),
    down="losses",
    each="kind",
)


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out errors by group.

    Returns:
        A row a setting and group of images: `FAMILY`, `losses`, `seeds`, `kind` ("age_bin",
        "decade", "sex" or "race"), `group`, `n` images, `group_subjects`, `mae`, `mae_low`,
        `mae_high`, `bias`, and `tail` (which ages the setting never predicts, in words, see
        `groups.tail_words`). Of several seeds means, and the interval of the mean.
    """
    columns = ["kind", "group", "n", "group_subjects", "mae", "mae_low", "mae_high", "bias", "tail"]
    return evidence.table_of(columns, _rows)


def _rows(group: Group) -> list[dict[str, Any]]:
    report = group_report(group.predictions, group.labels)
    tail = {"tail": tail_words(predicted_range(group.predictions))}
    rows = group.with_columns(row for kind, parts in report.items() for row in _named(kind, parts))
    if group.labels is None:
        # Whose labels are not at hand, its intervals cannot be told.
        rows += group.over_seeds(_told, mae=mean, bias=mean)
    return [row | tail for row in rows]


def _told(run: Measured) -> list[dict[str, Any]]:
    told = run.metrics.get("groups") or {}
    none = {"mae_low": None, "mae_high": None}
    return [
        row | none for kind in ("sex", "race") if kind in told for row in _named(kind, told[kind])
    ]


def _named(kind: str, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**part, "kind": kind, "group_subjects": part["subjects"]} for part in parts]


def _lay_out(rows: pd.DataFrame) -> Iterator[Grid]:
    tails = rows_of(rows.loc[rows["tail"] != "", ["setting", "losses", "tail"]].drop_duplicates())
    *grids, last = LAYOUT.grids(rows)
    yield from grids
    said = [f"{row['setting']}, {row['losses']}: {row['tail']}" for row in tails]
    yield replace(last, notes=[*last.notes, *said])


SECTION = Section(
    "groups",
    "For whom",
    (
        "Errors differ by age, and may by sex and race. Few subjects make wide intervals, "
        "fewer than four none.",
    ),
    "groups",
    make,
    show=lambda contents: by_family(contents.tables["groups"], _lay_out),
)
