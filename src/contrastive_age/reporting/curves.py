"""How the error depends on the weights of the losses, like the paper's Figure 3.

Only what was measured here is drawn: the paper gives its curves as a picture, not as numbers.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

from contrastive_age.reporting.analyses import FAMILY
from contrastive_age.reporting.figures import (
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


def cosine_curve(points: pd.DataFrame) -> Figure:
    """Draw MAE over the weight of the cosine loss, without triplets (Fig. 3a).

    Args:
        points: Rows of `analyses.lambda_curves` of one family with `curve` "c": `lambda_c`, and in
            years `mae`, `mae_low`, `mae_high`.

    Returns:
        A figure with one curve and the 95% intervals over subjects as bars.

    Raises:
        DataError: There is no point.
    """
    refuse_empty(points, "points of a curve")
    figure, axes = _panel()
    _draw_curve(axes, points, "lambda_c", 0, label="")
    _finish(axes, points["lambda_c"], r"Weight of the cosine loss $\lambda_c$ ($\lambda_t = 0$)")
    return figure


def triplet_curves(points: pd.DataFrame) -> Figure:
    """Draw MAE over the weight of the triplet loss, a curve a cosine weight (Fig. 3b).

    Args:
        points: Rows of `analyses.lambda_curves` of one family with `curve` "t": `lambda_c`,
            `lambda_t`, `margin`, and in years `mae`, `mae_low`, `mae_high`.

    Returns:
        A figure with a curve for each cosine weight and margin, and intervals as bars.

    Raises:
        DataError: There is no point.
    """
    refuse_empty(points, "points of a curve")
    figure, axes = _panel()
    margins = points["margin"].nunique()
    for place, ((cosine, margin), curve) in enumerate(points.groupby(["lambda_c", "margin"])):
        more = f", margin {margin:g}" if margins > 1 else ""
        _draw_curve(axes, curve, "lambda_t", place, label=rf"$\lambda_c$ = {cosine:g}{more}")
    axes.legend(frameon=False, fontsize=SMALL)
    _finish(axes, points["lambda_t"], r"Weight of the triplet loss $\lambda_t$")
    return figure


def by_family(curves: pd.DataFrame) -> Iterator[tuple[dict[str, Any], str, Figure]]:
    """Draw all curves, one figure for each kind and family.

    Args:
        curves: As `analyses.lambda_curves` gives them; what was not run is passed over.

    Yields:
        The columns `FAMILY` of the points, their `curve` ("c" or "t") and the figure.
    """
    draw = {"c": cosine_curve, "t": triplet_curves}
    measured = curves[curves["status"] == "measured"]
    for key, points in measured.groupby([*FAMILY, "curve"], sort=False, dropna=False):
        yield dict(zip(FAMILY, key, strict=False)), str(key[-1]), draw[str(key[-1])](points)


def _panel() -> tuple[Figure, Axes]:
    figure = new_figure(5.2, 3.6)
    return figure, figure.subplots()


def _draw_curve(axes: Axes, points: pd.DataFrame, term: str, place: int, label: str) -> None:
    color, marker, dashes = _LINES[place % len(_LINES)]
    points = points.sort_values(term)
    # Curves over the same weights stand side by side, so that their bars can be told apart.
    span = float(points[term].max() - points[term].min()) or 1.0
    x = points[term].to_numpy(np.float64) + place * 0.012 * span
    mae = points["mae"].to_numpy(np.float64)
    ends = points[["mae_low", "mae_high"]].to_numpy(np.float64)
    sizes = np.stack([mae - ends[:, 0], ends[:, 1] - mae])
    axes.errorbar(
        x,
        mae,
        yerr=np.nan_to_num(sizes),
        color=color,
        marker=marker,
        markersize=5,
        linestyle=dashes,
        linewidth=1.6,
        elinewidth=1.0,
        capsize=3,
        label=label,
    )
    if place > 1:
        return  # more numbers would lie on one another; the page's tables hold them all
    for position, value in zip(x, mae, strict=True):
        axes.annotate(
            f"{value:.2f}",
            (position, value),
            xytext=(5, 5) if place == 0 else (5, -12),
            textcoords="offset points",
            fontsize=SMALL,
            color=INK if place == 0 else color,
        )


def _finish(axes: Axes, weights: pd.Series, x: str) -> None:
    values = sorted(weights.unique())
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.margins(x=0.1, y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%.1f"))
    axes.text(
        1.0,
        1.02,
        "bars: 95% over subjects",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=SMALL,
        color=GREY,
    )
    tidy(axes, title="Sensitivity on test folds", x=x, y="MAE (years)", grid="y")
