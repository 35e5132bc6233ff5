"""Where a network looks: Grad-CAM maps, and their mass on the parts of the face.

A map explains one face (Selvaraju et al., ICCV 2017): with `A_k` the k-th channel of the
backbone's last block and `y` the logit of the class nearest to the predicted age, it is
`ReLU(sum_k alpha_k A_k)`, where `alpha_k` is the mean over all places of the derivative of `y` by
`A_k`. Each map is divided by its sum, so that maps of different networks can be averaged and
compared: what is left is where evidence for the predicted age lies, not how much there is.

Behind the block its places are averaged first, so that the derivative is the same at all of them:
that by the channel's mean, over their number, which the division by the sum takes out again. For
one linear layer `w` and class `c` it is `w_ck`. Where a head makes its logits of one number (the
heads `regression` and `noisy`), the logit nearest to it is almost flat: maps of these say little.

A map has a cell for every 32 pixels the network sees: 7x7 for 224 pixels, but 3x3 for 96 and 2x2
for 48. Such coarse maps cannot tell eyes from forehead; the mass they put on a region is then
mostly that of its neighbourhood, and should not be read as a finding.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from contrastive_age.faces.alignment import FACE_SIZE, five_point_template
from contrastive_age.training.recipe import CROP_SIZE

Maps = npt.NDArray[np.float32]
Masks = Mapping[str, npt.NDArray[np.bool_]]

AGE_GROUPS: dict[str, tuple[float, float]] = {
    "0-12": (0, 13),
    "13-29": (13, 30),
    "30-49": (30, 50),
    "50+": (50, math.inf),
}
"""Names of the age groups and their borders in years, lower included, upper excluded.

The paper claims something of teens and twenties (nose and mouth) and of the thirties and forties
(forehead): each is one group, between the children before and the older after.
"""

REGIONS = ("forehead", "eyes", "nose", "mouth", "cheeks", "background")
"""The parts of a face; `cheeks` is the rest of it, with temples and chin."""


def grad_cam(block: Tensor, logits: Tensor, logits_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Map where each face speaks for the age that the network predicts for it.

    Explained is the logit of the class nearest to the predicted age (the expectation of the
    softmax), since that, and not the likeliest class, is what the network is measured by.

    Args:
        block: Output of the last block, float32 (n, K, h, w).
        logits: Over the age classes, float32 (n, A).
        logits_of: Gives the logits of the block's means over its places, (n, K).

    Returns:
        One map a face at the block's own resolution, float32 (n, h, w), not negative. A map's sum
        is 1, or 0 where nothing speaks for the predicted age.
    """
    weight = _derivative(block.mean(dim=(2, 3)), _nearest_class(logits), logits_of)
    evidence = torch.einsum("nk,nkhw->nhw", weight, block).relu().double()
    total = evidence.sum(dim=(1, 2), keepdim=True)
    return (evidence / total.where(total > 0, 1.0)).float()


def _derivative(means: Tensor, classes: Tensor, logits_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Give the derivative of a class's logit (n,) by each channel's mean, (n, K)."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        # Copies, of which a gradient can be taken where the originals come of inference.
        means, classes = means.clone().requires_grad_(), classes.clone()
        chosen = logits_of(means).gather(1, classes[:, None])
        return torch.autograd.grad(chosen.sum(), means)[0]


def _nearest_class(logits: Tensor) -> Tensor:
    """The class nearest to the expectation of the softmax, (n,); classes are a year apart."""
    numbers = torch.arange(logits.shape[1], dtype=torch.float64, device=logits.device)
    return (logits.double().softmax(dim=1) @ numbers).round().long()


def region_masks(coverage: float, size: int = CROP_SIZE) -> dict[str, npt.NDArray[np.bool_]]:
    """Divide what the network sees of an aligned face into regions.

    All places come from the alignment's five points: eyes with brows are a band around the eyes,
    the nose ends midway between its tip and the mouth, and the face is an ellipse about them. Its
    proportions were fitted to FG-NET: over its 1,002 faces, aligned, the median outline from ear to
    chin that was marked by hand is within 0.05 eye distances of the ellipse, and of the points
    marked on brows, eyes, nose and mouth 95%, 99%, 93% and 99% lie in their region.

    Args:
        coverage: How much of the face's surroundings an aligned face shows, as it was aligned.
        size: Side of the masks in pixels; they span the centre crop, 224/256 of an aligned face.

    Returns:
        For each of `REGIONS` a bool (size, size); every pixel belongs to exactly one.

    Raises:
        ValueError: The size or the coverage is not positive.
    """
    if size < 1:
        raise ValueError(f"masks need at least one pixel a side, got {size}")
    points = five_point_template(coverage)
    eyes, nose, mouth = points[:2].mean(axis=0), points[2], points[3:].mean(axis=0)
    unit = float(np.linalg.norm(points[1] - points[0]))
    # Below, lengths count in distances between the eyes, from the point midway between them.
    margin = (FACE_SIZE - CROP_SIZE) / 2
    pixels = margin - 0.5 + (np.arange(size) + 0.5) * CROP_SIZE / size
    x = np.abs(pixels - eyes[0])[None, :] / unit
    y = (pixels - eyes[1])[:, None] / unit
    nose_tip, lips = (nose[1] - eyes[1]) / unit, (mouth[1] - eyes[1]) / unit
    corner = float(points[4, 0] - points[3, 0]) / 2 / unit

    brow, lid, nostrils = -0.42, 0.2, (nose_tip + lips) / 2
    face = (x / 1.15) ** 2 + ((y - 0.37) / 1.47) ** 2 <= 1
    wing = 0.2 + 0.25 * (y - lid) / (nostrils - lid)
    parts = {
        "forehead": face & (y < brow),
        "eyes": face & (y >= brow) & (y < lid) & (x < 1.05),
        "nose": face & (y >= lid) & (y < nostrils) & (x < wing),
        "mouth": face & (y >= nostrils) & (y < lips + 0.32) & (x < 1.4 * corner),
    }
    parts["cheeks"] = face & ~np.any(list(parts.values()), axis=0)
    return parts | {"background": ~face}


def region_mass(maps: Maps, masks: Masks) -> npt.NDArray[np.float64]:
    """Say how much of each map lies in each region.

    The maps are thought of as enlarged to the masks, bilinearly. That is linear in a map, so the
    masks are brought down to the maps' few cells once, and no map is ever enlarged.

    Args:
        maps: Not negative, (n, h, w).
        masks: A partition, bool (size, size) each, as `region_masks` gives it.

    Returns:
        The share of each map in each region, in the order of `masks`, float64 (n, regions). Rows
        sum to 1; they are NaN where the map is zero everywhere.
    """
    size = len(next(iter(masks.values())))
    down, across = (_enlarging(side, size) for side in maps.shape[1:])
    weights = np.stack([down.T @ mask @ across for mask in masks.values()])
    mass = np.einsum("nhw,rhw->nr", maps.astype(np.float64), weights)
    total = mass.sum(axis=1, keepdims=True)
    return np.asarray(mass / np.where(total > 0, total, np.nan))


def _enlarging(cells: int, size: int) -> npt.NDArray[np.float64]:
    """The matrix (size, cells) that enlarges a row of cells to a row of pixels, bilinearly."""
    unit = torch.eye(cells, dtype=torch.float64)[None]
    return interpolate(unit, size=size, mode="linear")[0].T.numpy()


def age_groups(ages: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Give the place in `AGE_GROUPS` of each age in years (n,), int64 (n,)."""
    upper = [border for _, border in AGE_GROUPS.values()]
    return np.searchsorted(upper, np.asarray(ages, dtype=np.float64), side="right")


def summarise(maps: Maps, ages: npt.ArrayLike, coverage: float) -> dict[str, Any]:
    """Sum up where the maps of a setting lie, by age.

    Args:
        maps: From `grad_cam`, (n, h, w).
        ages: True ages in years, (n,).
        coverage: Of the aligned faces, see `region_masks`.

    Returns:
        What `gradcam.json` holds. `grid` (h, w), `n`, `zero_maps` (maps without any mass; they
        count in no mean), `area` (each region's share of the crop, which is the mass of a map that
        is equal everywhere), `mass` (each region's mean share of a map over all faces, None when
        there is none) and `age_groups`: for each of `AGE_GROUPS` its `n`, `zero_maps` and `mass`.

    Raises:
        ValueError: There are not as many ages as maps.
    """
    groups = age_groups(ages)
    if groups.shape != maps.shape[:1]:
        raise ValueError(f"{len(maps)} maps need as many ages, got {groups.shape}")
    masks = region_masks(coverage)
    mass = region_mass(maps, masks)
    return {
        "grid": [int(side) for side in maps.shape[1:]],
        "area": {name: float(mask.mean()) for name, mask in masks.items()},
        **_mean_mass(mass),
        "age_groups": {
            name: _mean_mass(mass[groups == place]) for place, name in enumerate(AGE_GROUPS)
        },
    }


def _mean_mass(mass: npt.NDArray[np.float64]) -> dict[str, Any]:
    known = mass[~np.isnan(mass).any(axis=1)]
    means = known.mean(axis=0).tolist() if len(known) else None
    return {
        "n": len(mass),
        "zero_maps": len(mass) - len(known),
        "mass": dict(zip(REGIONS, means, strict=True)) if means else None,
    }


def choose_samples(
    sample_id: npt.ArrayLike,
    age: npt.ArrayLike,
    at_most: int,
    seed: int,
    named: Sequence[str] | None = None,
) -> npt.NDArray[np.int64]:
    """Choose faces to explain: those that are named, or as evenly over `AGE_GROUPS` as faces allow.

    The groups give a face each in turn, in random order of their own, until there are enough. The
    choice depends on the set of faces and the seed, not on the order of the rows.

    Args:
        sample_id: Names of the faces, each once, (n,).
        age: Ages in years, (n,).
        at_most: How many to choose.
        seed: Of the order within the groups.
        named: Those to explain in their place, as far as they are here; any number.

    Returns:
        Rising row numbers, int64 (min(n, at_most),), or of those that are named.
    """
    if named is not None:
        return np.flatnonzero(np.isin(np.asarray(sample_id, dtype=str), np.asarray(named, str)))
    faces = pd.DataFrame({"name": np.asarray(sample_id, dtype=str), "group": age_groups(age)})
    faces = faces.sort_values("name").iloc[np.random.default_rng(seed).permutation(len(faces))]
    faces["turn"] = faces.groupby("group").cumcount()
    chosen = faces.sort_values(["turn", "group"]).index[: max(0, at_most)]
    return np.sort(chosen.to_numpy(np.int64))
