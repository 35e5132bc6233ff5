"""Figures of Grad-CAM maps laid over faces, as free-standing matplotlib figures.

The faces are aligned, and of them the centre crop is shown, which is all that a network sees.
Every panel has a colour scale of its own: a map tells where evidence lies, not how much there is.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from contrastive_age.evaluation.gradcam import AGE_GROUPS, Maps, age_groups
from contrastive_age.reporting.figures import INK, SMALL, TEXT, new_figure
from contrastive_age.training.augmentation import CROP_SIZE

Faces = npt.NDArray[np.uint8]

_PANEL = 1.55
_LABEL = 0.95
_TITLE = 0.42
_OPACITY = 0.45
_MOST_MEANT = 400
"""A mean face of more faces than these looks no different."""


def mean_maps(maps: Maps, ages: npt.ArrayLike, faces: Faces | None = None) -> Figure:
    """Draw the average map of each age group over the group's average face.

    Args:
        maps: From `gradcam.grad_cam`, (n, h, w).
        ages: True ages in years, (n,).
        faces: The same faces, aligned, uint8 (n, 256, 256, 3); without them the maps stand alone.

    Returns:
        A figure with a panel for each age group; one without a map says so.

    Raises:
        ValueError: The shapes do not go together.
    """
    _check(len(maps), ages=np.asarray(ages), faces=faces)
    group = age_groups(ages)
    spoken = maps.any(axis=(1, 2))
    figure = new_figure(len(AGE_GROUPS) * _PANEL * 1.25, _PANEL * 1.25 + _TITLE)
    panels = figure.subplots(1, len(AGE_GROUPS))
    for place, (axes, name) in enumerate(zip(panels, AGE_GROUPS, strict=True)):
        members = np.flatnonzero((group == place) & spoken)
        axes.set_title(f"{name} years, n = {len(members):,}", fontsize=SMALL, color=INK)
        axes.set_axis_off()
        if not len(members):
            axes.text(0.5, 0.5, "no map", ha="center", va="center", fontsize=SMALL, color=INK)
            continue
        backdrop = None if faces is None else _mean_face(faces, members)
        _overlay(axes, maps[members].mean(axis=0), backdrop)
    return figure


def side_by_side(
    faces: Faces,
    maps_by_setting: Mapping[str, Maps],
    predicted_by_setting: Mapping[str, npt.ArrayLike],
    ages: npt.ArrayLike,
) -> Figure:
    """Draw the maps of several settings over the same faces, like the paper's Figure 2 (c).

    Args:
        faces: Aligned, uint8 (n, 256, 256, 3).
        maps_by_setting: For each setting its maps, (n, h, w).
        predicted_by_setting: For each its predicted ages in years, (n,).
        ages: True ages in years, (n,).

    Returns:
        The faces in the first row, and a row a setting with predicted / true age below each map.

    Raises:
        ValueError: The shapes do not go together, or there is nothing to draw.
    """
    true = np.asarray(ages, dtype=np.float64)
    n = len(faces)
    if not n or not maps_by_setting:
        raise ValueError("nothing to lay side by side: at least one face and one setting")
    _check(n, ages=true, **dict(maps_by_setting))
    _check(n, **{name: np.asarray(own) for name, own in predicted_by_setting.items()})
    rows = 1 + len(maps_by_setting)
    figure = new_figure(_LABEL + n * _PANEL, rows * (_PANEL + 0.2) + _TITLE)
    panels = figure.subplots(rows, n, squeeze=False)
    figure.suptitle("Predicted / true age in years", fontsize=TEXT, color=INK, x=0.01, ha="left")
    for column in range(n):
        panels[0, column].imshow(_crop(faces[column]))
        for row, (name, maps) in enumerate(maps_by_setting.items(), 1):
            axes = panels[row, column]
            _overlay(axes, maps[column], _crop(faces[column]))
            guess = float(np.asarray(predicted_by_setting[name])[column])
            axes.set_xlabel(f"{guess:.1f} / {true[column]:.0f}", fontsize=SMALL, color=INK)
    for row, name in enumerate(["", *maps_by_setting]):
        panels[row, 0].set_ylabel(name, fontsize=TEXT, color=INK)
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure


def _overlay(axes: Axes, heat: npt.NDArray[np.float32], backdrop: Faces | None) -> None:
    """Lay a map, enlarged bilinearly as its mass is counted, over a face."""
    if backdrop is not None:
        axes.imshow(backdrop)
    if heat.any():
        size = (CROP_SIZE, CROP_SIZE)
        enlarged = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR))
        axes.imshow(enlarged, cmap="inferno", alpha=1.0 if backdrop is None else _OPACITY, vmin=0)


def _mean_face(faces: Faces, members: npt.NDArray[np.int64]) -> Faces:
    """The average of the crops of some faces; of very many, of evenly chosen ones."""
    step = max(1, len(members) // _MOST_MEANT)
    mean: Faces = np.mean([_crop(faces[row]) for row in members[::step]], axis=0).astype(np.uint8)
    return mean


def _crop(face: Faces) -> Faces:
    """What the network sees of an aligned face."""
    edge = (face.shape[0] - CROP_SIZE) // 2
    return face[edge : edge + CROP_SIZE, edge : edge + CROP_SIZE]


def _check(n: int, **arrays: npt.NDArray[np.generic] | None) -> None:
    wrong = {name: len(own) for name, own in arrays.items() if own is not None and len(own) != n}
    if wrong:
        raise ValueError(f"{n} faces or maps, but {wrong}")
