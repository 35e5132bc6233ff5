"""How the error depends on one parameter, like the paper's Figure 3 on the weights of its losses.

Only what was measured here is drawn: the paper gives its curves as a picture, not as numbers.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from contrastive_age.reporting.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SMALL,
    in_mathtext,
    new_figure,
    refuse_empty,
    tidy,
)

_COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9", "#8C6D00")
_MARKERS = "os^DvPX"
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""Curves take colours, markers and dashes in turn. Their numbers have no common divisor, so that
curves of one colour have other markers or dashes: none is known by its colour alone."""

_FACTOR_OF_LOG = 10
"""Values that lie so far apart, and are all above 0, stand on a logarithmic scale."""


def draw(points: pd.DataFrame, name: str) -> Figure:
    """Draw MAE over a parameter.

    Args:
        points: A row a point: `value` (of the parameter), `curve` (the legend's name of the curve
            that it belongs to; there is no legend for one), and in years `mae`, `mae_low`,
            `mae_high`.
        name: Of the parameter, with its unit.

    Returns:
        A figure with the 95% intervals over subjects as bars; a point without one has none.

    Raises:
        DataError: There is no point.
    """
    refuse_empty(points, "points of a curve")
    labels = list(points["curve"].unique())
    named = len(labels) > 1
    figure = new_figure(6.4 if named else 5.2, 3.6)
    axes = figure.subplots()
    values = sorted(points["value"].unique())
    logarithmic = values[0] > 0 and values[-1] >= _FACTOR_OF_LOG * values[0]
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    for place, (label, curve) in enumerate(points.groupby("curve", sort=False)):
        _draw_curve(axes, curve.sort_values("value"), place, in_mathtext(str(label)), logarithmic)
    if named:
        axes.legend(frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.margins(x=0.1, y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    tidy(axes, title="Sensitivity on test folds", x=in_mathtext(name), y="MAE (years)")
    if points["mae_low"].notna().any():
        axes.set_title("bars: 95% over subjects", loc="right", fontsize=SMALL, color=GREY)
    return figure


def _draw_curve(
    axes: Axes, points: pd.DataFrame, place: int, label: str, logarithmic: bool
) -> None:
    color = _COLORS[place % len(_COLORS)]
    value = points["value"].to_numpy(np.float64)
    # Curves over the same values stand side by side, so that their bars can be told apart.
    if logarithmic:
        x = value * (value[-1] / value[0]) ** (place * 0.012)
    else:
        x = value + place * 0.012 * (float(value[-1] - value[0]) or 1.0)
    mae = points["mae"].to_numpy(np.float64)
    ends = points[["mae_low", "mae_high"]].to_numpy(np.float64)
    axes.errorbar(
        x,
        mae,
        yerr=[mae - ends[:, 0], ends[:, 1] - mae],
        color=color,
        marker=_MARKERS[place % len(_MARKERS)],
        markersize=5,
        linestyle=_DASHES[place % len(_DASHES)],
        linewidth=1.6,
        elinewidth=1.0,
        capsize=3,
        label=label,
    )
    # More numbers would lie on one another; the page's tables hold them all.
    for position, years in zip(x, mae, strict=True) if place < 2 else ():
        axes.annotate(
            f"{years:.2f}",
            (position, years),
            xytext=(5, 5) if place == 0 else (5, -12),
            textcoords="offset points",
            fontsize=SMALL,
            color=INK if place == 0 else color,
        )
