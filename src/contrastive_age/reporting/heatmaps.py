"""Figures of where networks look: Grad-CAM maps over faces.

As in `reporting.figures`, every function returns a free-standing `matplotlib.figure.Figure`. A face
is shown as the network sees it, the centre crop, in grey under the colours of its map. Maps are
drawn in times a flat map: 1 is what every place would hold if the map were equal everywhere. What
is below stays grey; above, the colours count in doublings, so that broad and narrow maps can both
be read on one scale.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from torch.nn.functional import interpolate

from contrastive_age.errors import DataError
from contrastive_age.evaluation.gradcam import (
    AGE_GROUPS,
    REGIONS,
    Maps,
    age_groups,
    region_masks,
    region_mass,
)
from contrastive_age.faces.alignment import DEFAULT_COVERAGE, FACE_SIZE
from contrastive_age.reporting.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SMALL,
    TEXT,
    Sheet,
    saying,
    tidy_scale,
)
from contrastive_age.training.recipe import CROP_SIZE

Faces = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.float64]

# Inches of the figure of mean maps: a column, its picture, the bars below, and what lies around.
_COLUMN, _PICTURE, _BARS, _NAMES, _HEAD, _BAND, _FOOT = 1.85, 1.7, 1.25, 0.95, 0.72, 0.15, 0.4
# Inches of the figure of single faces, as on a face sheet.
_CELL, _GAP, _CAPTION, _HEADING = 1.3, 0.1, 0.22, 0.3
# Inches of a colour scale with its numbers, and of the bar alone.
_SCALE, _SCALE_BAR = 0.85, 0.14
# Where a colour scale ends at least.
_LEAST_TOP = 4.0
_PLAIN = 0.62

FEWEST_CELLS = 4
"""Maps of fewer cells a side, as at below 128 pixels, cannot tell parts of a face apart."""


def mean_maps(
    maps: Maps,
    ages: npt.ArrayLike,
    faces: Faces,
    coverage: float = DEFAULT_COVERAGE,
) -> Figure:
    """Draw the average map of each age group over its mean face, and its mass by region.

    Args:
        maps: From `evaluation.gradcam.grad_cam`, (n, h, w). Maps that are zero everywhere are left
            out.
        ages: True ages in years, (n,).
        faces: The n aligned faces, uint8 (n, S, S, 3).
        coverage: Of the aligned faces, for the regions.

    Returns:
        A figure with a column for each of `AGE_GROUPS` that has a map. All share a colour scale.
        Below each picture bars show the mean share of a map in every region, and ticks what a flat
        map would have there. Where no map has any mass it says so.

    Raises:
        ValueError: The shapes do not go together.
    """
    _check(maps, faces, ages)
    groups, seen = age_groups(ages), maps.sum(axis=(1, 2)) > 0
    members = [np.flatnonzero(seen & (groups == place)) for place in range(len(AGE_GROUPS))]
    shown = [(name, rows) for name, rows in zip(AGE_GROUPS, members, strict=True) if len(rows)]
    if not shown:
        return saying(f"No map: {len(maps):,} faces explained")
    means = [_enlarged(maps[rows].mean(axis=0)) for _, rows in shown]
    masks = region_masks(coverage, CROP_SIZE)
    mass = [region_mass(maps[rows], masks).mean(axis=0) for _, rows in shown]
    area = np.array([mask.mean() for mask in masks.values()])
    top = max(_LEAST_TOP, *(float(mean.max()) for mean in means))
    furthest = max(area.max(), *(share.max() for share in mass))

    sheet = Sheet(_NAMES + len(shown) * _COLUMN + _SCALE, _HEAD + _PICTURE + _BAND + _BARS + _FOOT)
    height, width = maps.shape[1:]
    what = f": {height} × {width} cells, too coarse" if is_coarse((height, width)) else " by age"
    sheet.text(_GAP, sheet.height - 0.2, f"Mean Grad-CAM{what}", TEXT + 1)
    for place, ((name, rows), mean, share) in enumerate(zip(shown, means, mass, strict=True)):
        left, bottom = _NAMES + place * _COLUMN, _FOOT + _BARS + _BAND
        title = f"{name.replace('-', '–')} years ({len(rows):,})"
        sheet.text(left, bottom + _PICTURE + 0.14, title, TEXT)
        axes = sheet.axes(left, bottom, _PICTURE, _PICTURE)
        _lay_over(axes, _mean_face(faces, rows), mean, top)
        _outline(axes, masks)
        _draw_mass(
            sheet.axes(left, _FOOT, _PICTURE, _BARS), share, area, furthest, named=place == 0
        )
    sheet.text(_GAP, 0.14, "Bars: mean share of a map. Ticks: share of a flat map.", SMALL)
    _scale(sheet, sheet.width - _SCALE, _FOOT + _BARS + _BAND, _PICTURE, top)
    return sheet.figure


def side_by_side(
    faces: Faces,
    maps_by_setting: Mapping[str, Maps],
    predicted_by_setting: Mapping[str, npt.ArrayLike],
    ages: npt.ArrayLike,
) -> Figure:
    """Show where the networks of several settings look in the same faces, like the paper's Fig. 2.

    Args:
        faces: Aligned faces, uint8 (n, S, S, 3).
        maps_by_setting: For each setting's name its maps, (n, h, w).
        predicted_by_setting: For the same names the predicted ages in years, (n,).
        ages: True ages in years, (n,).

    Returns:
        A figure with a column a face: on top the face as it is, and below a row a setting, with
        the predicted / true age under each. All maps share a colour scale, which ends where a
        tenth of them go beyond.

    Raises:
        DataError: There is no face or no setting.
        ValueError: The settings or shapes do not go together.
    """
    true = np.asarray(ages, dtype=np.float64)
    guesses = {name: np.asarray(x, np.float64) for name, x in predicted_by_setting.items()}
    if not len(faces) or not maps_by_setting:
        raise DataError("there are no faces to compare: explain some with two settings first")
    if guesses.keys() != maps_by_setting.keys():
        raise ValueError(f"maps of {list(maps_by_setting)}, but predictions of {list(guesses)}")
    for name, maps in maps_by_setting.items():
        _check(maps, faces, true, guesses[name])
    large = {name: [_enlarged(one) for one in maps] for name, maps in maps_by_setting.items()}
    peaks = [one.max() for maps in large.values() for one in maps]
    top = max(_LEAST_TOP, float(np.quantile(peaks, 0.9)))

    row = _CELL + _HEADING + _CAPTION
    height = _HEADING + _CELL + len(large) * row + _GAP
    sheet = Sheet(_GAP + len(faces) * _CELL + _SCALE, height)
    sheet.text(_GAP, height - 0.6 * _HEADING, "Face", TEXT)
    bottom = height - _HEADING - (_CELL - _GAP)
    for place, face in enumerate(faces):
        sheet.picture(_GAP + place * _CELL, bottom, _CELL - _GAP, _crop(face))
    for name, enlarged in large.items():
        heading = f"{name}: predicted / true age in years"
        sheet.text(_GAP, bottom - _GAP - 0.6 * _HEADING, heading, TEXT)
        bottom -= _GAP + _HEADING + _CELL - _GAP
        for place, (face, one) in enumerate(zip(faces, enlarged, strict=True)):
            left = _GAP + place * _CELL
            axes = sheet.axes(left, bottom, _CELL - _GAP, _CELL - _GAP)
            _lay_over(axes, _grey(_crop(face)), one, top)
            text = f"{guesses[name][place]:.1f} / {true[place]:.0f}"
            sheet.text(left + (_CELL - _GAP) / 2, bottom - 0.12, text, TEXT, centred=True)
        bottom -= _CAPTION
    _scale(sheet, sheet.width - _SCALE, bottom + _CAPTION, height - bottom - 2 * _HEADING, top)
    return sheet.figure


def single(face: npt.NDArray[np.uint8], one: Maps) -> Figure:
    """Show one face as the network sees it, and beside it in grey under its map.

    Args:
        face: An aligned face, uint8 (S, S, 3).
        one: Its map, (h, w), of `evaluation.gradcam.grad_cam`; where it is zero everywhere nothing
            is laid over the face, and there is no scale.

    Returns:
        A small figure, for a place of 300 to 500 pixels.
    """
    large = _enlarged(one)
    top = max(_LEAST_TOP, float(large.max()))
    sheet = Sheet(3 * _GAP + 2 * _PICTURE + _SCALE, _PICTURE + 2 * _GAP)
    sheet.picture(_GAP, _GAP, _PICTURE, _crop(face))
    left = 2 * _GAP + _PICTURE
    _lay_over(sheet.axes(left, _GAP, _PICTURE, _PICTURE), _grey(_crop(face)), large, top)
    if large.any():
        _scale(sheet, left + _PICTURE + _GAP, _GAP, _PICTURE, top)
    return sheet.figure


def _scale(sheet: Sheet, left: float, bottom: float, height: float, top: float) -> None:
    """Draw the colour scale from 0 to `top`, on the grey that lies under the maps."""
    axes = sheet.axes(left, bottom, _SCALE_BAR, height)
    axes.set_facecolor(str(_PLAIN))
    bar = sheet.figure.colorbar(ScalarMappable(LogNorm(1, top), _COLOURS), cax=axes)
    doublings = [2**power for power in range(int(math.log2(top)) + 1)]
    bar.set_ticks(doublings, labels=[str(value) for value in doublings])
    bar.ax.minorticks_off()
    tidy_scale(bar, "times a flat map")


def _colours() -> Colormap:
    """From nothing over faint yellow to dense red; nothing for what is below the scale."""
    strength = np.linspace(0, 1, 256)
    colours = colormaps["YlOrRd"](0.1 + 0.85 * strength)
    colours[:, 3] = 0.85 * strength**0.5
    return ListedColormap(colours).with_extremes(under=(0, 0, 0, 0))


_COLOURS = _colours()


def _lay_over(axes: Axes, grey: Picture, large: Picture, top: float) -> None:
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1)
    axes.imshow(large, cmap=_COLOURS, norm=LogNorm(1, top))
    axes.set_axis_off()


def _outline(axes: Axes, masks: Mapping[str, npt.NDArray[np.bool_]]) -> None:
    """Draw the borders between the regions."""
    for mask in masks.values():
        if 0 < mask.mean() < 1:
            axes.contour(
                mask.astype(float), levels=[0.5], colors="white", linewidths=0.6, alpha=0.8
            )


def _draw_mass(axes: Axes, mass: Picture, area: Picture, furthest: float, *, named: bool) -> None:
    """Bars of the mass in each region with ticks of its area, the first region on top."""
    places = np.arange(len(REGIONS))
    axes.barh(places, mass, height=0.68, color=BLUE)
    axes.vlines(area, places - 0.44, places + 0.44, color=ORANGE, linewidth=1.6)
    for place, share in enumerate(mass):
        axes.text(
            1.3 * furthest,
            place,
            f"{share:.0%}",
            ha="right",
            va="center",
            fontsize=SMALL,
            color=INK,
        )
    axes.set(xlim=(0, 1.3 * furthest), ylim=(len(REGIONS) - 0.4, -0.6))
    axes.set_yticks(places, list(REGIONS) if named else [""] * len(REGIONS))
    axes.set_xticks([])
    axes.tick_params(labelsize=SMALL, labelcolor=INK, length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(GREY)


def _enlarged(one: Maps) -> Picture:
    """Enlarge a map (h, w) of sum 1 to the crop's pixels, bilinearly, in times a flat map."""
    cells = torch.from_numpy(np.asarray(one, dtype=np.float64))[None, None]
    large = interpolate(cells, size=(CROP_SIZE, CROP_SIZE), mode="bilinear")
    return np.asarray(large[0, 0] * one.size, dtype=np.float64)


def _crop(face: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Cut out of an aligned face, (S, S, 3), what the network sees, enlarged to its pixels."""
    side = len(face)
    margin = round(side * (FACE_SIZE - CROP_SIZE) / 2 / FACE_SIZE)
    places = margin + (np.arange(CROP_SIZE) + 0.5) * (side - 2 * margin) / CROP_SIZE
    return np.asarray(face[np.ix_(places.astype(int), places.astype(int))])


def _grey(face: npt.NDArray[Any]) -> Picture:
    """Luminance of RGB values 0 to 255, as 0 to 1."""
    return np.asarray(face @ np.array([0.299, 0.587, 0.114]) / 255, dtype=np.float64)


def _mean_face(faces: Faces, rows: npt.NDArray[np.int64]) -> Picture:
    # One face at a time: together they can be more than the memory holds.
    total = sum(faces[row].astype(np.float64) for row in rows)
    return _grey(_crop(total / len(rows)))


def is_coarse(grid: Sequence[int]) -> bool:
    """Whether maps of so many cells, (h, w), are too coarse to tell parts of a face apart."""
    return min(grid) < FEWEST_CELLS


def _check(maps: Maps, faces: Faces, *ages: npt.ArrayLike) -> None:
    shapes = [np.shape(years) for years in ages]
    pictures = maps.ndim == 3 and faces.ndim == 4 and faces.shape[3] == 3
    if not pictures or {maps.shape[:1], *shapes} != {(len(faces),)}:
        raise ValueError(
            f"maps {maps.shape}, ages {shapes} and faces {faces.shape} do not go together"
        )
