"""Figures of predictions, faces, training and data, as free-standing matplotlib figures.

Every function returns a `matplotlib.figure.Figure` with a canvas of its own. Nothing touches
pyplot or the global settings, so figures can be made in threads and without a display.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, to_rgb
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from contrastive_age.evaluation.metrics import signed_errors
from contrastive_age.model.losses import LOSSES, TOTAL, Term, titles
from contrastive_age.reporting.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SMALL,
    TEXT,
    Sheet,
    in_mathtext,
    new_figure,
    saying,
    tidy,
    tidy_scale,
)

_DOTS_AT_MOST = 3000
_FEW_IMAGES = 10
# Inches on a face sheet: a face with the gap beside it, the numbers and headings.
_CELL, _GAP, _CAPTION, _HEADING = 1.3, 0.1, 0.22, 0.45
_YEARS_A_BAR = 5
_THOUSANDS = "{x:,.0f}"


def scatter(predictions: pd.DataFrame) -> Figure:
    """Draw predicted against true age.

    A few thousand images are drawn as one translucent dot each; more of them as counts in cells
    of one year by one year on a logarithmic scale, since dots would hide one another.

    Args:
        predictions: `age, predicted_age` in years, a row an image.

    Returns:
        A square figure with the MAE in its title and the line of perfect prediction.
    """
    mae = np.abs(signed_errors(predictions)).mean()
    age = predictions["age"].to_numpy(dtype=np.float64)
    predicted = predictions["predicted_age"].to_numpy(dtype=np.float64)
    low = min(0.0, float(predicted.min()))
    high = 5.0 * math.ceil((max(age.max(), predicted.max()) + 1) / 5)
    crowded = len(age) > _DOTS_AT_MOST
    figure = new_figure(7.4 if crowded else 6.4, 6.4)
    axes = figure.subplots()
    if crowded:
        _draw_counts(figure, axes, age, predicted)
    else:
        alpha = min(0.8, max(0.25, 10 / math.sqrt(len(age))))
        axes.scatter(age, predicted, s=18, color=BLUE, alpha=alpha, linewidths=0)
    axes.axline((0, 0), slope=1, color=ORANGE, linewidth=1.3, label="perfect prediction")
    axes.set(xlim=(low - 1, high), ylim=(low - 1, high), aspect="equal")
    axes.legend(loc="upper left", frameon=False, fontsize=SMALL)
    tidy(
        axes,
        title=f"MAE {mae:.2f} years over {_images(len(age))}",
        x="True age (years)",
        y="Predicted age (years)",
        grid="both",
    )
    return figure


def cs_curve(metrics: Mapping[str, Any]) -> Figure:
    """Draw the share of images whose error is within 1 to 10 years.

    Args:
        metrics: As `evaluation.summary.measure` gives them; `cs` and `cs_intervals` are drawn.

    Returns:
        A figure with one curve, and a band where it has intervals.
    """
    figure = new_figure(6.4, 4.4)
    axes = figure.subplots()
    years = [int(year) for year in metrics["cs"]]
    axes.plot(years, list(metrics["cs"].values()), color=BLUE, marker="o", markersize=4)
    known = {int(year): ends for year, ends in metrics["cs_intervals"].items() if ends}
    if known:
        low, high = zip(*known.values(), strict=True)
        label = "95% interval over subjects"
        axes.fill_between(list(known), low, high, color=BLUE, alpha=0.2, linewidth=0, label=label)
        axes.legend(loc="lower right", frameon=False, fontsize=SMALL)
    axes.set(xlim=(0.7, 10.3), ylim=(0, 102), xticks=range(1, 11))
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    tidy(
        axes,
        title=f"CS@5 {metrics['cs5']:.1f}% over {_images(metrics['n'])}",
        x="Tolerance (years)",
        y="Images within the tolerance",
        grid="y",
    )
    return figure


def error_by_age(predictions: pd.DataFrame) -> Figure:
    """Draw MAE, bias and the number of images for every five years of age.

    Bars over fewer than ten images are pale: what they show may be chance.

    Args:
        predictions: `age, predicted_age` in years, a row an image.

    Returns:
        A figure of three panels over a common age axis.
    """
    errors = pd.Series(signed_errors(predictions))
    lower = predictions["age"].to_numpy() // _YEARS_A_BAR * _YEARS_A_BAR
    by_age = pd.DataFrame({"bias": errors, "mae": errors.abs()}).groupby(lower)
    bars = by_age.mean().assign(n=by_age.size())
    figure = new_figure(8.4, 7.2)
    upper, middle, bottom = figure.subplots(3, sharex=True, height_ratios=[3, 3, 2])
    _draw_bars(upper, bars["mae"], bars["n"], BLUE)
    _draw_bars(middle, bars["bias"], bars["n"], ORANGE)
    middle.axhline(0, color=INK, linewidth=1)
    oldest = int(bars.index.max()) + _YEARS_A_BAR
    bottom.bar_label(
        _draw_bars(bottom, bars["n"], bars["n"], GREY),
        fmt="{:,.0f}",
        padding=2,
        fontsize=SMALL - 1 if oldest <= 80 else SMALL - 2,
        color=INK,
    )
    bottom.margins(y=0.25)
    bottom.set(xlim=(-1, oldest + 1), xticks=range(0, oldest + 1, 2 * _YEARS_A_BAR))
    bottom.yaxis.set_major_formatter(StrMethodFormatter(_THOUSANDS))
    bottom.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    pale = f" (pale: fewer than {_FEW_IMAGES})" if (bars["n"] < _FEW_IMAGES).any() else ""
    tidy(upper, title="Mean absolute error", y="MAE (years)", grid="y")
    tidy(middle, title="Bias: above zero is predicted too old", y="Bias (years)", grid="y")
    tidy(bottom, title=f"Images{pale}", x="True age (years)", y="Images", grid="y")
    figure.align_ylabels()
    return figure


def calibration(measured: Mapping[str, Any]) -> Figure:
    """Draw how often the softmax's central intervals hold the true age, and the PIT below.

    Args:
        measured: As `evaluation.calibration.report` gives it.

    Returns:
        A figure of two panels; what a temperature makes of it is dashed, where there is one.
    """
    figure = new_figure(5.2, 6.6)
    upper, lower = figure.subplots(2)
    after, temperature = measured["after"], measured["temperature"]
    lines = [(measured["before"], BLUE, "o", "-", "as it is")]
    if after is not None:
        said = f"with the temperature {temperature['mean']:.2f}"
        lines.append((after, ORANGE, "s", "--", said))
    for line, color, marker, dashes, label in lines:
        shares = [float(level) for level in line["curve"]]
        upper.plot(
            *(shares, list(line["curve"].values())),
            color=color,
            marker=marker,
            markersize=4,
            linestyle=dashes,
            label=label,
        )
        lower.stairs(
            line["pit"],
            np.linspace(0, 1, len(line["pit"]) + 1),
            color=color,
            linestyle=dashes,
            linewidth=1.6,
        )
    upper.axline((0, 0), slope=1, color=INK, linewidth=1, label="as it should be")
    upper.set(xlim=(0, 100), ylim=(0, 100))
    upper.legend(loc="upper left", frameon=False, fontsize=SMALL)
    for axis in (upper.xaxis, upper.yaxis, lower.yaxis):
        axis.set_major_formatter(PercentFormatter(decimals=0))
    lower.axhline(100 / len(lines[0][0]["pit"]), color=INK, linewidth=1)
    lower.set(xlim=(0, 1), ylim=(0, None))
    tidy(
        upper,
        title="Central intervals of the softmax",
        x="Share of the softmax",
        y="Images whose age is in it",
        grid="both",
    )
    tidy(
        lower,
        title="Where in the softmax the true age lies",
        x="PIT: 0 at its young end, 1 at its old end",
        y="Images",
    )
    return figure


def choose_best_and_worst(
    predictions: pd.DataFrame, n_best: int = 16, n_worst: int = 8
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the faces worth showing, always the same ones.

    The best are taken from the quarter of the images with the smallest errors: the ages found
    there are cut into `n_best` equal stretches, and each in turn gives its smallest error, of a
    subject not chosen yet where there is one, until there are enough. The worst are simply the
    largest errors. Equal errors are ordered by `sample_id`.

    Args:
        predictions: `sample_id, identity, age, predicted_age`, a row an image.
        n_best: Number of well predicted faces.
        n_worst: Number of badly predicted faces.

    Returns:
        Rows of `predictions`: the best, sorted by age, and the worst, the largest error first.
        No row is in both; with fewer images than asked for, the worst come short.
    """
    ranked = predictions.assign(_size=(predictions["predicted_age"] - predictions["age"]).abs())
    ranked = ranked.sort_values(["_size", "sample_id"], ignore_index=True).drop(columns="_size")
    candidates = ranked.head(max(n_best, len(ranked) // 4))
    best = _spread_over_ages(candidates, n_best)
    worst = ranked.drop(index=best).tail(n_worst)
    return ranked.loc[best].sort_values(["age", "sample_id"]), worst.iloc[::-1]


def face_sheet(
    faces: npt.NDArray[np.uint8],
    ages: npt.ArrayLike,
    predicted: npt.ArrayLike,
    n_worst: int = 8,
    columns: int = 8,
) -> Figure:
    """Show faces with their predicted and true ages, like the paper's Figure 2.

    Args:
        faces: uint8 RGB, shape (n, h, w, 3): the well predicted ones, then the `n_worst` others,
            both in reading order.
        ages: True ages in years, shape (n,).
        predicted: Predicted ages in years, shape (n,).
        n_worst: How many of the last faces go below, under a heading of their own.
        columns: Faces in a row.

    Returns:
        A figure with one small picture a face, and under it predicted / true age.

    Raises:
        ValueError: The shapes do not go together, or there is no face.
    """
    true, guess = np.asarray(ages, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    n = len(faces)
    if not n or true.shape != (n,) or guess.shape != (n,):
        raise ValueError(
            f"a face sheet needs one age and one prediction a face: got faces {faces.shape}, "
            f"ages {true.shape}, predictions {guess.shape}"
        )
    split = n - min(n_worst, n)
    groups = {"Smallest errors": range(split), "Largest errors": range(split, n)}
    groups = {heading: members for heading, members in groups.items() if members}
    columns = min(columns, max(map(len, groups.values())))
    rows = sum(math.ceil(len(members) / columns) for members in groups.values())
    height = rows * (_CELL + _CAPTION) + len(groups) * _HEADING + _GAP
    sheet = Sheet(columns * _CELL + _GAP, height)
    top, side = height, _CELL - _GAP
    for heading, members in groups.items():
        sheet.text(_GAP, top - 0.6 * _HEADING, f"{heading}: predicted / true age in years", TEXT)
        top -= _HEADING
        for place, face in enumerate(members):
            row, column = divmod(place, columns)
            left, bottom = _GAP + column * _CELL, top - row * (_CELL + _CAPTION) - _CELL
            sheet.picture(left, bottom, side, faces[face])
            text = f"{guess[face]:.1f} / {true[face]:.0f}"
            sheet.text(left + side / 2, bottom - 0.12, text, TEXT, centred=True)
        top -= math.ceil(len(members) / columns) * (_CELL + _CAPTION)
    return sheet.figure


def history_curves(history: pd.DataFrame, weights: Mapping[str, float]) -> Figure:
    """Draw each loss term that acts over the epochs, one panel a term and one line a fold.

    Args:
        history: `epoch, fold` and the columns of the losses (`model.losses.titles`), as trained
            (before weighting by lambda, but for the total). A term that is absent or nowhere a
            number is left out.
        weights: Of the losses, such as `lambda_c`: a term with a weight of 0 is left out. The
            titles say the others.

    Returns:
        A figure with a panel for each term; over several folds their mean stands out. Without
        epochs it says that nothing was trained.
    """
    if history.empty:
        return saying("Not trained: the initial weights as they are")
    named = {TOTAL: titles()[TOTAL]} | {
        term.name: _titled(term, weight)
        for term in LOSSES.values()
        if (weight := weights.get(term.weight, term.default))
    }
    terms = [term for term in named if term in history and history[term].notna().any()]
    columns = min(4, len(terms))
    rows = math.ceil(len(terms) / columns)
    figure = new_figure(3.0 * columns + 0.4, 2.5 * rows + 0.6)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    folds = history["fold"].nunique()
    for panel, term in zip(panels, terms, strict=False):
        values = history.pivot_table(index="epoch", columns="fold", values=term)
        alone = folds == 1
        panel.plot(
            values.index,
            values.to_numpy(),
            color=BLUE if alone else GREY,
            linewidth=1.6 if alone else 0.8,
            alpha=1 if alone else max(0.12, min(0.7, 4 / folds)),
        )
        if not alone:
            panel.plot(values.index, values.mean(axis="columns"), color=BLUE, linewidth=1.8)
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        tidy(
            panel,
            title=named[term],
            x="Epoch",
            y="Loss" if panel in panels[::columns] else "",
            grid="y",
        )
    for panel in panels[len(terms) :]:
        panel.set_axis_off()
    caption = "one fold" if folds == 1 else f"grey: each of {folds} folds; blue: their mean"
    figure.suptitle(f"Training loss ({caption})", fontsize=TEXT, color=INK, x=0.01, ha="left")
    return figure


def _titled(term: Term, weight: float) -> str:
    """The title of a loss term with its weight, unless that is the one it always has."""
    if weight == term.default:
        return term.title
    return f"{term.title}\n{in_mathtext(term.weight.replace('lambda', 'λ'))} = {weight:g}"


def age_distribution(
    ages: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    mean: float,
    intervals: Mapping[str, tuple[float, float]],
) -> Figure:
    """Draw what a network says of one face: a bar an age, and above the mean with its intervals.

    The intervals do not follow from the bars: they come from the errors on other faces.

    Args:
        ages: The age classes in years, (A,).
        probabilities: Of each of them, (A,).
        mean: The predicted age in years.
        intervals: By level in percent ("80"), lower and upper end in years; the upper may be
            infinite, which is drawn as an arrow.

    Returns:
        A small figure, for a place of 300 to 500 pixels.
    """
    years, heights = np.asarray(ages, np.float64), np.asarray(probabilities, np.float64)
    high = max([years.max(), *(end for _, end in intervals.values() if math.isfinite(end))]) + 2
    # The levels stand to the left of their intervals, and need a tenth of the width.
    low = min([years.min() - 1, *(start - (high - start) / 9 for start, _ in intervals.values())])
    top = float(heights.max())
    figure = new_figure(4.6, 2.9)
    axes = figure.subplots()
    axes.bar(years, heights, width=0.86, color=BLUE)
    axes.axvline(mean, color=ORANGE, linewidth=1.6)
    # Room on top, in which the intervals lie with the wider one above.
    step = 0.17 * top
    by_width = sorted(intervals.items(), key=lambda level: level[1][1] - level[1][0])
    for place, (level, (start, end)) in enumerate(by_width):
        height = top + step * (place + 0.55)
        _draw_interval(axes, start, end, height, high)
        axes.text(start, height, f"{level}% ", ha="right", va="center", fontsize=SMALL, color=INK)
    axes.set(xlim=(low, high), ylim=(0, top + step * (len(intervals) + 0.4)))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0 if top >= 0.05 else 1))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= top])
    tidy(axes, x="Age (years)", y="Probability")
    return figure


def _draw_counts(
    figure: Figure,
    axes: Axes,
    age: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.float64],
) -> None:
    top = math.ceil(max(age.max(), predicted.max())) + 1
    bottom = min(0, math.floor(predicted.min()))
    borders = np.arange(bottom, top + 1) - 0.5
    counts, *_, cells = axes.hist2d(
        age,
        predicted,
        bins=[borders, borders],
        cmin=1,
        cmap=ListedColormap(colormaps["Blues"](np.linspace(0.25, 1, 256))),
    )
    cells.set_norm(LogNorm(1, max(2, np.nanmax(counts))))
    bar = figure.colorbar(cells, ax=axes, shrink=0.7, pad=0.02)
    bar.ax.yaxis.set_major_formatter(StrMethodFormatter(_THOUSANDS))
    tidy_scale(bar, "Images in a cell of one by one year")


def _draw_interval(axes: Axes, start: float, end: float, height: float, edge: float) -> None:
    """Draw a line between two ages with an end mark at each, or an arrow to the edge."""
    open_ended = not math.isfinite(end)
    last = edge if open_ended else end
    axes.plot([start, last], [height, height], color=ORANGE, linewidth=2, solid_capstyle="butt")
    axes.plot([start], [height], marker="|", color=ORANGE, markersize=8, markeredgewidth=2)
    axes.plot(
        [last],
        [height],
        marker=">" if open_ended else "|",
        color=ORANGE,
        markersize=8,
        markeredgewidth=2,
        clip_on=False,
    )


def _draw_bars(axes: Axes, heights: pd.Series, counts: pd.Series, color: str) -> BarContainer:
    full = to_rgb(color)
    pale = tuple(1 - 0.35 * (1 - part) for part in full)
    colors = [pale if count < _FEW_IMAGES else full for count in counts]
    width = 0.86 * _YEARS_A_BAR
    return axes.bar(heights.index, heights, width=width, align="edge", color=colors)


def _spread_over_ages(candidates: pd.DataFrame, n: int) -> list[int]:
    """Choose `n` rows over equal stretches of age, in turns until there are enough.

    In a turn each stretch gives its smallest error, of a subject not chosen yet if it can.

    Args:
        candidates: `identity, age`, ordered by rising error.
        n: Number of rows to choose.

    Returns:
        Labels of the index.
    """
    chosen: list[int] = []
    left = candidates
    while len(chosen) < n and len(left):
        turn: list[int] = []
        for _, stretch in left.groupby(pd.cut(left["age"], n, labels=False)):
            taken = stretch["identity"].isin(candidates.loc[chosen + turn, "identity"])
            # The first that is not taken, else the first.
            turn.append(int(stretch.index.to_numpy()[np.argmin(taken)]))
        chosen += sorted(turn)[: n - len(chosen)]
        left = candidates.drop(index=chosen)
    return chosen


def _images(n: int) -> str:
    return f"{n:,} image" if n == 1 else f"{n:,} images"
