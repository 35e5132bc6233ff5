"""Tables of a setting's result: for the terminal, for Markdown and for previews.

All of them show the same numbers in the same words, so that they can be compared: ages and errors
in years with two decimals, shares in percent with one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.table import Table

_FOLDS_LISTED = 10
_MISSING = "-"


def demo_table(
    metrics: Mapping[str, Any],
    leakage: Mapping[str, Any] | None = None,
    title: str = "Cross-validated age error",
) -> Table:
    """Make a small table for the terminal.

    Args:
        metrics: As `evaluation.metrics.summarise` gives them.
        leakage: As `protocols.leakage.audit_leakage` gives it; `leaked_share` (0 to 1) and
            `mae_lookup` (years) are shown where any test image has its subject in training, and
            `leaked_copies_share` where any has a copy there.
        title: Printed above.

    Returns:
        Two columns, to be printed by a `rich.console.Console`.
    """
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column("quantity")
    table.add_column("value", justify="right")
    for row, (quantity, value) in enumerate(_headline(metrics, leakage)):
        table.add_row(quantity, value, style="bold" if row == 0 else None)
    return table


def preview_table(
    metrics: Mapping[str, Any], leakage: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Make a table of one row a number, `quantity` and `value` (both str), for previews.

    Args:
        metrics: As `evaluation.metrics.summarise` gives them.
        leakage: As for `demo_table`.

    Returns:
        The lines of `demo_table`, then bias, cumulative score, age bins and spread over folds.
    """
    folds = metrics["fold_mae"]
    lines = [
        *_headline(metrics, leakage),
        ("MAE, mean over folds", _years(folds["mean"])),
        ("MAE, standard deviation over folds", _years(folds["std"])),
        *((f"CS@{n}", _percent(share)) for n, share in metrics["cs"].items() if n != "5"),
        *(
            (f"MAE at {name} years, {part['n']:,} images", _years(part["mae"]))
            for name, part in metrics["age_bins"].items()
        ),
    ]
    return pd.DataFrame(lines, columns=["quantity", "value"], dtype="str")


def summary_markdown(
    metrics: Mapping[str, Any], leakage: Mapping[str, Any], audit: Mapping[str, Any]
) -> str:
    """Write the result, its spread, the leak and the data behind it as Markdown.

    Args:
        metrics: As `evaluation.metrics.summarise` gives them.
        leakage: As for `demo_table`.
        audit: As `sources.audit.audit` gives it: `n`, `identities`, `images_found`, `ages`,
            `age_bins`, `manifest_hash`, `rejected` and the counts in `anomalies`.

    Returns:
        Sections with a table each, ending in a line break.
    """
    sections = {
        "Result": [_markdown(("Quantity", "Value"), _headline(metrics, leakage))],
        "Error by age": [_age_section(metrics["age_bins"])],
        "Error by fold": _fold_section(metrics["fold_mae"]),
        "Subjects in both training and test": [_leak_section(leakage)],
        "Data": _data_section(audit),
    }
    texts = [f"## {heading}\n\n" + "\n\n".join(parts) for heading, parts in sections.items()]
    return "\n\n".join(texts) + "\n"


def _headline(
    metrics: Mapping[str, Any], leakage: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    lines = [
        ("MAE", _years(metrics["mae"])),
        ("MAE of the constant predictor", _years(metrics["mae_constant"])),
    ]
    if leakage is not None and leakage["leaked_share"] > 0:
        lines += [
            ("MAE of the identity lookup (no pixels)", _years(leakage["mae_lookup"])),
            ("Test images with their subject in training", _percent(100 * leakage["leaked_share"])),
        ]
    if leakage is not None and leakage.get("leaked_copies_share"):
        share = _percent(100 * leakage["leaked_copies_share"])
        lines.append(("Test images with a copy in training", share))
    sound = metrics.get("without_leaks")
    if sound and sound["mae"] is not None:
        spread = " [{:.2f}, {:.2f}]".format(*sound["mae_interval"]) if sound["mae_interval"] else ""
        what = f"MAE without the {sound['leaked_images']:,} images that leak"
        lines.insert(1, (what, _years(sound["mae"]) + spread))
    return [
        *lines,
        ("MAE, mean over subjects", _years(metrics["mae_by_subject"])),
        ("Bias (predicted minus true)", _years(metrics["bias"], sign="+")),
        ("CS@5 (within 5 years)", _percent(metrics["cs5"])),
        ("Images", f"{metrics['n']:,}"),
        ("Folds", f"{metrics['folds']:,}"),
        ("Subjects", f"{metrics['subjects']:,}"),
    ]


def _age_section(bins: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (name, f"{part['n']:,}", _years(part["mae"]), _years(part["bias"], sign="+"))
        for name, part in bins.items()
    ]
    return _markdown(("True age (years)", "Images", "MAE", "Bias"), rows, numbers=(1, 2, 3))


def _fold_section(folds: Mapping[str, Any]) -> list[str]:
    values: Mapping[str, float] = folds["values"]
    spread = f"Mean over folds {_years(folds['mean'])}"
    if folds["std"] is not None:
        spread += f", standard deviation {_years(folds['std'])}"
    if len(values) <= _FOLDS_LISTED:
        return [f"{spread}.", _markdown(("Fold", "MAE"), _fold_rows(values))]
    ranked = dict(sorted(values.items(), key=lambda item: item[1]))
    extremes = {fold: ranked[fold] for fold in [*list(ranked)[:3], *list(ranked)[-3:]]}
    return [
        f"{spread}. The three best and the three worst of {len(values)} folds:",
        _markdown(("Fold", "MAE"), _fold_rows(extremes)),
    ]


def _fold_rows(values: Mapping[str, float]) -> list[tuple[str, str]]:
    return [(fold, _years(mae)) for fold, mae in values.items()]


def _leak_section(leakage: Mapping[str, Any]) -> str:
    if not leakage["leaked_share"]:
        return "None: no test image has its subject in training."
    return (
        f"{_percent(100 * leakage['leaked_share'])} of the test images have their subject in "
        "training. A lookup that never sees a pixel, the age in another picture of the subject, "
        f"has an MAE of {_years(leakage['mae_lookup'])}; the constant predictor has "
        f"{_years(leakage['mae_constant'])}. Read the MAE against both."
    )


def _data_section(audit: Mapping[str, Any]) -> list[str]:
    ages = audit["ages"]
    rows = [
        ("Images used", f"{audit['n']:,}"),
        ("Image files found", f"{audit['images_found']:,}"),
        ("Files or entries rejected", f"{len(audit['rejected']):,}"),
        ("Identities", f"{audit['identities']:,}"),
        ("Ages", f"{ages['min']} to {ages['max']} years, median {ages['median']:g}"),
        *((f"Images at {name} years", f"{n:,}") for name, n in audit["age_bins"].items()),
        ("Manifest hash", f"`{audit['manifest_hash']}`"),
    ]
    found = [
        (name.replace("_", " ").capitalize(), f"{check['count']:,}", check["explanation"])
        for name, check in audit["anomalies"].items()
        if check["count"]
    ]
    parts = [_markdown(("Quantity", "Value"), rows)]
    if found:
        parts += ["What to know about it:", _markdown(("Finding", "Count", "Meaning"), found)]
    return parts


def _markdown(
    header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = (1,)
) -> str:
    """A Markdown table with the columns `numbers`, counted from 0, set to the right."""
    rule = ["---:" if column in numbers else "---" for column in range(len(header))]
    lines = [header, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _years(value: float | None, sign: str = "") -> str:
    # The z turns a rounded -0.00 into 0.00.
    return _MISSING if value is None else f"{value:{sign}z.2f} years"


def _percent(value: float) -> str:
    # A small leak must not read as none.
    return "<0.1%" if 0 < value < 0.05 else f"{value:.1f}%"
