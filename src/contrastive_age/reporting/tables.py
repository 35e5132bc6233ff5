"""Tables of a setting's result: for the terminal and for previews.

Both show the same numbers in the same words, so that they can be compared: ages and errors
in years with two decimals, shares in percent with one, in brackets their 95% intervals over
subjects.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from contrastive_age.evaluation.groups import tail_words
from contrastive_age.evaluation.metrics import no_better
from contrastive_age.reporting.papers import Papers, weights_in_words
from contrastive_age.reporting.wording import counted, interval, percent

_MISSING = "-"


def demo_table(
    metrics: Mapping[str, Any],
    leakage: Mapping[str, Any] | None = None,
    title: str | None = None,
    papers: Papers | None = None,
) -> Table:
    """Make a small table for the terminal.

    Args:
        metrics: As `evaluation.summary.measure` gives them; those of earlier versions lack some,
            and those of predictions that were brought (`theirs.json`) have no losses nor seed.
        leakage: As `protocols.leakage.audit_leakage` gives it; `leaked_share` (0 to 1) and
            `mae_lookup` (years) are shown where any test image has its subject in training, and
            `leaked_copies_share` where any has a copy there.
        title: Printed above; the protocol and the setting's key where it is None.
        papers: What budgets are called by; without it none is said.

    Returns:
        Two columns, to be printed by a `rich.console.Console`.
    """
    table = Table(
        title=escape(title) if title else f"Age error of {metrics['protocol']}, {metrics['key']}",
        title_justify="left",
        title_style="bold",
        show_header=False,
        caption=tail_words(metrics.get("predicted_range")) or None,
        caption_justify="left",
    )
    table.add_column("quantity")
    table.add_column("value", justify="right")
    given = metrics["parameters"]
    data = " to ".join(filter(None, [given.get("trained_on"), given["source"]]))
    table.add_row("Data", f"{data}, {'DRAWN FACES' if given.get('drawn') else 'photos'}")
    if theirs := metrics.get("theirs"):
        table.add_row("Predictions", escape(f"theirs: {theirs}, from {metrics['file']}"))
    else:
        table.add_row("Losses", weights_in_words(given["loss"]))
    if papers is not None:
        table.add_row("Budget", papers.describe(given, metrics.get("external")))
    for row, (quantity, value) in enumerate(_headline(metrics, leakage)):
        table.add_row(quantity, value, style="bold" if row == 0 else None)
        if row == 0 and (said := no_better(metrics)):
            # Of theirs nobody knows whether it was trained at all.
            table.add_row("", said.partition(":")[0] if theirs else said, style="bold")
    return table


def preview_table(
    metrics: Mapping[str, Any], leakage: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Make a table of one row a number, `quantity` and `value` (both str), for previews.

    Args:
        metrics: As `evaluation.summary.measure` gives them.
        leakage: As for `demo_table`.

    Returns:
        The lines of `demo_table`, then spread over folds and those folds that have an interval,
        cumulative score, age bins, decades, errors at the ages laws name, and how far predictions
        reach.
    """
    folds, reached = metrics["fold_mae"], metrics["predicted_range"]
    groups = metrics["groups"]
    lines = [
        *_headline(metrics, leakage),
        ("MAE, mean over folds", _years(folds["mean"])),
        ("MAE, standard deviation over folds", _years(folds["std"])),
        *(
            (f"MAE of fold {fold}", _years(folds["values"][fold]) + _spread(ends))
            for fold, ends in folds["intervals"].items()
            if ends
        ),
        *(
            (f"CS@{n}", percent(share) + _spread(metrics["cs_intervals"][n], 1))
            for n, share in metrics["cs"].items()
            if n != "5"
        ),
        *(
            (
                f"MAE at {part['group']} years, {counted(part['n'], 'image')}",
                _years(part["mae"]) + _spread([part["mae_low"], part["mae_high"]]),
            )
            for part in [*groups["age_bin"], *groups["decade"]]
        ),
        *(line for part in metrics["thresholds"] for line in _mistaken(part)),
    ]
    ages = f"{reached['lowest']:.1f} to {reached['highest']:.1f} years"
    said = filter(None, [ages, tail_words(reached)])
    lines.append(("Predicted ages", ". ".join(said)))
    return pd.DataFrame(lines, columns=["quantity", "value"], dtype="str")


def _headline(
    metrics: Mapping[str, Any], leakage: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    lines = [
        ("MAE", _years(metrics["mae"]) + _spread(metrics.get("mae_interval"))),
        ("MAE of the constant predictor", _years(metrics["mae_constant"])),
    ]
    if leakage is not None and leakage["leaked_share"] > 0:
        lines += [
            ("MAE of the identity lookup (no pixels)", _years(leakage["mae_lookup"])),
            ("Test images with their subject in training", percent(100 * leakage["leaked_share"])),
        ]
    if leakage is not None and (share := leakage.get("leaked_copies_share")):
        lines.append(("Test images with a copy in training", percent(100 * share)))
    sound = metrics.get("without_leaks")
    if sound and sound["mae"] is not None:
        what = f"MAE without what leaks, {counted(sound['leaked_images'], 'image')}"
        lines.insert(1, (what, _years(sound["mae"]) + _spread(sound["mae_interval"])))
    if (picked := metrics.get("picked_on_test")) is not None:
        lines.insert(1, ("MAE claimed by picking epochs on the test part", _years(picked)))
    by_age, seed = metrics.get("mae_by_age"), metrics["parameters"].get("seed")
    score = percent(metrics["cs5"]) + _spread(metrics.get("cs5_interval"), 1)
    return [
        *lines,
        ("MAE, mean over subjects", _years(metrics["mae_by_subject"])),
        *([("MAE, mean over ages", _years(by_age))] if by_age is not None else []),
        ("Bias (predicted minus true)", _years(metrics["bias"], sign="+")),
        ("CS@5 (within 5 years)", score),
        ("Images", f"{metrics['n']:,}"),
        ("Folds", f"{metrics['folds']:,}"),
        ("Subjects", f"{metrics['subjects']:,}"),
        *([("Seed", f"{seed} (one network a fold)")] if seed is not None else []),
    ]


def _mistaken(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Who is taken for old enough and is not, and the reverse."""
    age = part["age"]
    return [
        (
            f"{who} {age}, {counted(part[f'{side}_n'], 'image')}: predicted {taken} {age}",
            percent(part[share]) + _spread([part[f"{side}_low"], part[f"{side}_high"]], 1),
        )
        for who, side, taken, share in (
            ("Under", "under", "at or over", "under_predicted_over"),
            ("At or over", "over", "under", "over_predicted_under"),
        )
    ]


def _spread(ends: Sequence[float | None] | None, decimals: int = 2) -> str:
    written = interval(ends[0], ends[1], decimals=decimals) if ends else ""
    return f" {written}" if written else ""


def _years(value: float | None, sign: str = "") -> str:
    # The z turns a rounded -0.00 into 0.00.
    return _MISSING if value is None else f"{value:{sign}z.2f} years"
