"""Fig. 3: how the error depends on the weights of the cosine and of the triplet loss."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from contrastive_age.reporting import curves, published, wording
from contrastive_age.reporting.groups import FAMILY, Evidence, Group, families, rows_of
from contrastive_age.reporting.pictures import Picture
from contrastive_age.reporting.sections.section import (
    Block,
    Contents,
    Missing,
    Part,
    Section,
    heading,
)

PAPERS_CURVES = "morph_se"
"""The protocol of the paper's figure."""

POINTS_OF_A_CURVE = 3
"""Fewer values of λ draw no curve; the comparisons hold them."""

_MINIMUM = published.table(3).set_index("row").loc["Ours (ternary loss)", "value"]
_PRESETS = {"c": "fig3a", "t": "fig3b"}
_NAMES = {"c": "Fig. 3a, λ_c with λ_t = 0", "t": "Fig. 3b, λ_t with λ_c 8 and 10"}
_WORDS = {
    "c": "MAE over the weight of the cosine loss λ_c, without triplets (as Fig. 3a).",
    "t": "MAE over the weight of the triplet loss λ_t (as Fig. 3b).",
}


def make(evidence: Evidence) -> pd.DataFrame:
    """Lay out MAE over the weight of the cosine and of the triplet loss.

    Only curves of at least `POINTS_OF_A_CURVE` values are given. They are measured on test folds,
    so that they tell how sensitive the error is and select nothing.

    Returns:
        A row a point: `FAMILY`, `seeds`, `status`, `curve` ("c": λ_c with λ_t = 0; "t": λ_t with a
        fixed λ_c above 0), `lambda_c`, `lambda_t`, `margin` (of all triplets of a curve), `mae`,
        `mae_low`, `mae_high` (95%, subjects), `seed_sd` and `command`. The paper's own curves, on
        MORPH II subject-exclusive, have a row that is "not run" where they were not; networks that
        were pre-trained on faces do not count as having run them.
    """
    rows: list[dict[str, Any]] = [
        group.columns | {"curve": kind, "margin": margin} | _weights(group)
        for family in families(evidence.groups)
        for kind, margin, curve in _curves(family, evidence.papers.mean_variance)
        for group in curve
    ]
    drawn = {(row["protocol"], row["curve"]) for row in rows if not row["pretraining"]}
    missing = {"protocol": PAPERS_CURVES, "pretraining": "", "status": "not run"}
    rows += [
        missing | {"curve": kind, "command": evidence.command("sweep", f"--preset={preset}")}
        for kind, preset in _PRESETS.items()
        if (PAPERS_CURVES, kind) not in drawn
    ]
    columns = ["status", "curve", "lambda_c", "lambda_t", "margin", "mae", "mae_low", "mae_high"]
    return pd.DataFrame(rows, columns=[*FAMILY, "seeds", *columns, "seed_sd", "command"])


def _weights(group: Group) -> dict[str, float]:
    return {term: group.losses.get(term, 0.0) for term in ("lambda_c", "lambda_t")}


def _curves(
    family: Sequence[Group], mean_variance: Mapping[str, float]
) -> list[tuple[str, float | None, list[Group]]]:
    """The curves of a family: kind, margin and groups in the order of the varied weight."""
    pair_terms = {"lambda_c", "lambda_t", "margin"}
    known = [
        group
        for group in family
        if {t: w for t, w in group.losses.items() if t not in pair_terms} == mean_variance
    ]
    curves: list[tuple[str, float | None, list[Group]]] = [
        ("c", None, [group for group in known if "lambda_t" not in group.losses])
    ]
    pairs = {
        (group.losses["lambda_c"], group.losses["margin"])
        for group in known
        if group.losses.keys() >= pair_terms
    }
    for cosine, margin in sorted(pairs):
        curve = [
            group
            for group in known
            if cosine == group.losses.get("lambda_c")
            and group.losses.get("margin", margin) == margin
        ]
        curves.append(("t", margin, curve))
    return [
        (kind, margin, sorted(curve, key=lambda group: _weights(group)[f"lambda_{kind}"]))
        for kind, margin, curve in curves
        if len(curve) >= POINTS_OF_A_CURVE
    ]


def draw(points: pd.DataFrame) -> list[Part]:
    """Draw the curves of each family in a part of its own.

    Args:
        points: As `make` gives them; what was not run is passed over.
    """
    parts: dict[tuple[str, str], list[Picture]] = {}
    measured = points[points["status"] == "measured"]
    for _, curve in measured.groupby([*FAMILY, "curve"], sort=False, dropna=False):
        rows = rows_of(curve)
        kind = rows[0]["curve"]
        values = "; ".join(
            f"λ_c {row['lambda_c']:g}, λ_t {row['lambda_t']:g}: {wording.number(row['mae'])} years "
            f"{wording.interval(row['mae_low'], row['mae_high'])}".strip()
            for row in rows
        )
        caption = f"{_WORDS[kind]} Bars are 95% intervals over subjects. {_seeds(rows)}"
        picture = Picture.of(curves.draw(curve, kind), caption, f"{_WORDS[kind]} {values}.")
        parts.setdefault(heading(rows[0]), []).append(picture)
    return [Part(*title, pictures) for title, pictures in parts.items()]


def _seeds(points: Sequence[Mapping[str, Any]]) -> str:
    numbers = [len(point["seeds"].split(", ")) for point in points]
    fewest, most = min(numbers), max(numbers)
    if most == 1:
        return "One seed a point: where points differ, the seed may be all that does it."
    return f"{fewest if fewest == most else f'{fewest} to {most}'} seeds a point."


def show(contents: Contents) -> list[Block]:
    """The curves that were measured, and the commands of the paper's that were not."""
    points = contents.rows("lambda_curves", on_faces=False)
    return [
        *draw(points),
        *(
            Missing(f"{_NAMES[row['curve']]}, on MORPH II: not run", row["command"])
            for row in rows_of(points[points["status"] == "not run"])
        ),
    ]


SECTION = Section(
    "figure-3",
    "Fig. 3: weights of the losses",
    (
        "Sensitivity on test folds: a curve selects nothing. The paper gives its curves as a "
        "picture only, with their minimum in words: λ_c = 10 and λ_t = 1, "
        f"{wording.number(_MINIMUM)} years on MORPH II, subject-exclusive.",
    ),
    "lambda_curves",
    make,
    show=show,
)
