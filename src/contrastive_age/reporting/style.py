"""How all figures look: colours, sizes of text, and white figures that need no display.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

import re
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure

from contrastive_age.errors import DataError

BLUE = "#0072B2"
ORANGE = "#D55E00"
INK = "#222222"
GREY = "#767676"
PALE = "#D9D9D9"

TEXT = 11.0
SMALL = 9.0
DPI = 120

NARROWEST = 4.2
"""Inches that the longest line of text on a sheet needs."""


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of the given size in inches, with a canvas that needs no display."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    FigureCanvasAgg(figure)
    return figure


def saying(text: str) -> Figure:
    """A figure of a line of text, where there is nothing to draw."""
    figure = new_figure(3.4, 1.0)
    figure.suptitle(text, fontsize=TEXT, color=INK, x=0.01, ha="left")
    return figure


def tidy(
    axes: Axes,
    title: str = "",
    x: str = "",
    y: str = "",
    grid: Literal["both", "x", "y"] = "y",
) -> None:
    """Give axes the common quiet look."""
    axes.set_title(title, loc="left", fontsize=TEXT, color=INK)
    axes.set_xlabel(x, fontsize=TEXT, color=INK)
    axes.set_ylabel(y, fontsize=TEXT, color=INK)
    axes.tick_params(labelsize=SMALL, color=GREY, labelcolor=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.grid(axis=grid, color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)


def tidy_scale(bar: Colorbar, label: str) -> None:
    """Give a colour scale the same look."""
    bar.set_label(label, fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL, color=GREY, labelcolor=INK, length=3)
    bar.outline.set_visible(False)


def in_mathtext(text: str) -> str:
    """Set symbols with an index, such as λ_c, as matplotlib does formulas."""

    def lowered(symbol: re.Match[str]) -> str:
        index = symbol[1].replace("_", r"\_")
        return rf"$\lambda_{{{index}}}$"

    return re.sub(r"λ_([a-z]\w*)", lowered, text)


def refuse_empty(table: pd.DataFrame, what: str) -> None:
    """Refuse to draw a table without rows; `what` names them in the error."""
    if table.empty:
        raise DataError(f"there are no {what} to draw; run the stage that makes them first")


class Sheet:
    """A white figure on which everything has its place in inches from the lower left corner."""

    def __init__(self, width: float, height: float) -> None:
        """Make it of at least `NARROWEST` inches."""
        self.width, self.height = max(width, NARROWEST), height
        self.figure = Figure(figsize=(self.width, height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Axes in their place."""
        place = left / self.width, bottom / self.height, width / self.width, height / self.height
        return self.figure.add_axes(place)

    def picture(self, left: float, bottom: float, side: float, pixels: Any) -> None:
        """A square picture of RGB pixels without any frame."""
        axes = self.axes(left, bottom, side, side)
        axes.imshow(pixels)
        axes.set_axis_off()

    def text(self, x: float, y: float, text: str, size: float, *, centred: bool = False) -> None:
        """A line of text, whose middle is at the height `y`."""
        place = x / self.width, y / self.height
        side: Any = "center" if centred else "left"
        self.figure.text(*place, text, fontsize=size, color=INK, ha=side, va="center")
