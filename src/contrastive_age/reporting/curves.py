"""How the error depends on the weights of the losses, like the paper's Figure 3.

Only what was measured here is drawn: the paper gives its curves as a picture, not as numbers.
"""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

from contrastive_age.reporting.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SMALL,
    new_figure,
    refuse_empty,
    tidy,
)

_LINES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "D", ":"))
"""Colour, marker and dashes of a curve, so that no curve is known by its colour alone."""

_WEIGHTS = {
    "c": r"Weight of the cosine loss $\lambda_c$ ($\lambda_t = 0$)",
    "t": r"Weight of the triplet loss $\lambda_t$",
}


def draw(points: pd.DataFrame, kind: Literal["c", "t"]) -> Figure:
    """Draw MAE over the weight of a loss.

    Args:
        points: Rows of `sections.figure_3.make` of one family and `curve`: `lambda_c`, `lambda_t`,
            `margin`, and in years `mae`, `mae_low`, `mae_high`.
        kind: "c", over the weight of the cosine loss without triplets (Fig. 3a): one curve; or "t",
            over that of the triplet loss (Fig. 3b): a curve a cosine weight and margin.

    Returns:
        A figure with the 95% intervals over subjects as bars.

    Raises:
        DataError: There is no point.
    """
    refuse_empty(points, "points of a curve")
    figure = new_figure(5.2, 3.6)
    axes = figure.subplots()
    if kind == "c":
        _draw_curve(axes, points, "lambda_c", 0, label="")
    else:
        margins = points["margin"].nunique()
        for place, ((cosine, margin), curve) in enumerate(points.groupby(["lambda_c", "margin"])):
            more = f", margin {margin:g}" if margins > 1 else ""
            _draw_curve(axes, curve, "lambda_t", place, label=rf"$\lambda_c$ = {cosine:g}{more}")
        axes.legend(frameon=False, fontsize=SMALL)
    values = sorted(points[f"lambda_{kind}"].unique())
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.margins(x=0.1, y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%.1f"))
    tidy(axes, title="Sensitivity on test folds", x=_WEIGHTS[kind], y="MAE (years)")
    axes.set_title("bars: 95% over subjects", loc="right", fontsize=SMALL, color=GREY)
    return figure


def _draw_curve(axes: Axes, points: pd.DataFrame, term: str, place: int, label: str) -> None:
    color, marker, dashes = _LINES[place % len(_LINES)]
    points = points.sort_values(term)
    # Curves over the same weights stand side by side, so that their bars can be told apart.
    span = float(points[term].max() - points[term].min()) or 1.0
    x = points[term].to_numpy(np.float64) + place * 0.012 * span
    mae = points["mae"].to_numpy(np.float64)
    ends = points[["mae_low", "mae_high"]].to_numpy(np.float64)
    axes.errorbar(
        x,
        mae,
        yerr=np.nan_to_num([mae - ends[:, 0], ends[:, 1] - mae]),
        color=color,
        marker=marker,
        markersize=5,
        linestyle=dashes,
        linewidth=1.6,
        elinewidth=1.0,
        capsize=3,
        label=label,
    )
    # More numbers would lie on one another; the page's tables hold them all.
    for position, value in zip(x, mae, strict=True) if place < 2 else ():
        axes.annotate(
            f"{value:.2f}",
            (position, value),
            xytext=(5, 5) if place == 0 else (5, -12),
            textcoords="offset points",
            fontsize=SMALL,
            color=INK if place == 0 else color,
        )
