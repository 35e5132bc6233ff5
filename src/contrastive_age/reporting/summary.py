"""What stands on top of the page: how much was run, and what came of it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from contrastive_age.reporting.groups import FAMILY, rows_of
from contrastive_age.reporting.sections.section import Column, Contents, Grid
from contrastive_age.reporting.sections.table_6 import PROTOCOLS

CONTRASTS = {"Binary contrast": "MV + Cosine", "Ternary contrast": "MV + Cosine + Triplet"}
"""The columns of the headline, and the combinations of losses that they hold against MV."""

_DIFFERENCE = (
    "{{ coloured(difference | signed, verdict) }}"
    "{{ small(low | interval(high, sign=true), verdict, could_have_seen(detectable)) }}"
)
COLUMNS = (
    Column(
        "Protocol and budget",
        "{{ protocol | protocol }}{{ small(([budget | short] + (line | tags)) | join(', ')) }}",
        number=False,
    ),
    Column(
        "MV",
        "{% if mv %}{{ mv.mae | number }}{{ small(mv.mae_low | interval(mv.mae_high)) }}"
        "{% else %}not run{% endif %}",
        "MAE, years",
    ),
    *(Column(title, _DIFFERENCE, "against MV, years", of=title) for title in CONTRASTS),
)


def summarise(contents: Contents) -> dict[str, Any]:
    """Count what was run and what came of it.

    Args:
        contents: Its tables are read.

    Returns:
        Numbers of `runs`, `settings` and `protocols`, of the cells of Table 6 that were `answered`
        as the paper did and `asked`; of settings `beaten` by a constant, on `drawn` faces,
        `on_faces` (pre-trained so), with `other_starts` (by the start) and `reduced` (another
        budget); `verdicts` against MV and those `verdicts_on_faces`; and the `headline`, None where
        there is nothing to say.
    """
    measured = contents.tables["measured"]
    on_faces = measured["pretraining"] != ""
    answered, asked = _answered(contents.tables["table_6"])
    return {
        "runs": sum(len(seeds.split(", ")) for seeds in measured["seeds"]),
        "settings": len(measured),
        "protocols": measured["protocol"].nunique(),
        "answered": answered,
        "asked": asked,
        "beaten": int((measured["mae"] >= measured["mae_constant"]).sum()),
        "drawn": int(measured["drawn_faces"].sum()),
        "on_faces": int(on_faces.sum()),
        "other_starts": measured[(measured["start"] != "ImageNet") & ~on_faces]["start"].tolist(),
        "reduced": int((measured["budget"] != contents.papers.budget).sum()),
        "papers_budget": contents.papers.budget,
        "verdicts": _verdicts(contents.rows("comparisons", on_faces=False)),
        "verdicts_on_faces": _verdicts(contents.rows("comparisons", on_faces=True)),
        "headline": headline(
            contents,
            "The paper's claim, where it was put to the test: 95% intervals, of MV over subjects, "
            "of differences over subjects and networks.",
            on_faces=False,
        ),
    }


def headline(contents: Contents, caption: str, *, on_faces: bool) -> Grid | None:
    """A line a family, with what the contrast changed; None where there is none to tell of.

    Args:
        contents: Its tables are read.
        caption: Of the table.
        on_faces: Whether of networks that were pre-trained on faces, or of all others.
    """
    compared = contents.rows("comparisons", on_faces=on_faces)
    against = compared[compared["reference"] == "MV"]
    measured = contents.rows("measured", on_faces=on_faces)
    lines = []
    for _, rows in measured.groupby(list(FAMILY), sort=False, dropna=False):
        first = rows_of(rows)[0]
        same = (against[list(FAMILY)] == pd.Series(first)[list(FAMILY)]).all(axis="columns")
        by_losses = {row["losses"]: row for row in rows_of(against[same])}
        names = {
            title: contents.papers.name(contents.papers.losses(name, first["protocol"]))
            for title, name in CONTRASTS.items()
        }
        across = {title: by_losses[name] for title, name in names.items() if name in by_losses}
        if len(rows) == 1 and first["losses"] not in names.values():
            # a point of a curve over the budget
            continue
        mv = next(iter(rows_of(rows[rows["losses"] == "MV"])), None)
        lines.append(first | {"mv": mv, "across": across})
    return Grid(caption, COLUMNS, lines, "cards") if lines else None


def _answered(losses: pd.DataFrame) -> tuple[int, int]:
    """How many of Table 6's cells of ours, in the paper's columns, were measured as it did."""
    printed = [name for name, protocol in PROTOCOLS.items() if protocol != "fgnet_se"]
    cells = losses[losses["column"].isin(printed) & (losses["status"] != "")]
    as_paper = cells[(cells["start"] == "ImageNet") & (cells["drawn_faces"] == False)]  # noqa: E712
    keys = ["loss", "column"]
    return len(as_paper.drop_duplicates(keys)), len(cells.drop_duplicates(keys))


def _verdicts(comparisons: pd.DataFrame) -> Mapping[str, int]:
    """How many comparisons with MV came out how; of drawn faces where there are no others.

    Verdicts that are none, such as of one seed, are counted by their reason.
    """
    measured = comparisons["status"] == "measured"
    against = comparisons[measured & (comparisons["reference"] == "MV")]
    drawn = against["drawn_faces"].astype(bool)
    counted = against if drawn.all() else against[~drawn]
    return {str(verdict): n for verdict, n in counted["verdict"].value_counts().items()}
