"""Curves and outlines: all are (n, 2) arrays of points in face coordinates.

The origin of face coordinates lies midway between the pupils, u points to the right of the picture
and v down; the half-width of a grown face at the cheekbones is about 1, its chin near v = 1.6.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def moved(points: Points, u: float = 0.0, v: float = 0.0) -> Points:
    """Shift points by (u, v)."""
    return np.asarray(points + np.array((u, v)))


@cache
def _catmull_rom(steps: int) -> Points:
    t = (np.arange(steps) / steps)[:, None]
    return 0.5 * np.hstack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    )


def spline(points: Sequence[tuple[float, float]] | Points, steps: int = 6) -> Points:
    """Join points by an open Catmull-Rom spline.

    Args:
        points: (n, 2) points to pass through, n at least 2.
        steps: Points computed between two given ones.

    Returns:
        ((n - 1) * steps + 1, 2) points.
    """
    given = np.asarray(points, dtype=np.float64)
    padded = np.vstack([2 * given[0] - given[1], given, 2 * given[-1] - given[-2]])
    windows = padded[np.arange(len(given) - 1)[:, None] + np.arange(4)]
    return np.vstack([(_catmull_rom(steps) @ windows).reshape(-1, 2), given[-1]])


def both_sides(half: Sequence[tuple[float, float]] | Points) -> Points:
    """Mirror a right half that starts on the midline: left end ... midline ... right end."""
    right = np.asarray(half, dtype=np.float64)
    return np.vstack([right[:0:-1] * (-1.0, 1.0), right])


def along(curve: Points, count: int) -> Points:
    """Pick `count` points evenly by index from one end of a curve to the other."""
    return np.asarray(curve[np.linspace(0, len(curve) - 1, count).round().astype(int)])


@cache
def _unit_circle(steps: int) -> Points:
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def ellipse(centre: tuple[float, float], radii: tuple[float, float], steps: int = 28) -> Points:
    """Give the (steps, 2) points of an upright ellipse."""
    return _unit_circle(steps) * radii + centre
