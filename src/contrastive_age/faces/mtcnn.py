"""MTCNN on torch: three networks in a row that find faces and five points in each.

Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks", 2016. Weights and every step are those of the package `mtcnn`, which is
installed for its weights and never imported: it runs on TensorFlow. Boxes and points agree with its
`detect_faces` on one photo at a time, where it sorts equal scores in a stable way.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from contrastive_age.faces.weights import read_weights
from contrastive_age.float32 import exact

Thresholds = tuple[float, float, float]

CELL = 12
"""Side in pixels of what the first network looks at, which it does every `STRIDE` pixels."""
STRIDE = 2
SHRINKAGE = 0.709
"""From one level of the pyramid to the next: half the area."""
REFINED_SIDE, FINAL_SIDE = 24, 48
"""Side in pixels of what the second and the third network are shown of a candidate."""

BLOCK = 256
"""Boxes compared with others, and candidates shown to a network, at a time; it bounds memory."""


class Candidates(NamedTuple):
    """Boxes that may hold a face, from several photos.

    Attributes:
        photo: Of each box, int64 (k,).
        corners: Left, top, right and bottom in pixels, float64 (k, 4).
        scores: Probability of a face, float32 (k,).
        points: x and y of the five points in pixels, float64 (k, 5, 2); (k, 0, 2) where unknown.
    """

    photo: Tensor
    corners: Tensor
    scores: Tensor
    points: Tensor

    def rows(self, chosen: Tensor) -> "Candidates":
        """Take some boxes, by their numbers or by a mask."""
        return Candidates(*(column[chosen] for column in self))


class MTCNN:
    """Finds the faces of photos of one size; from any thread.

    Attributes:
        device: Where the networks compute.
    """

    device: torch.device

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Read the weights.

        Raises:
            DataError: The package `mtcnn` is missing, or its weights are others.
        """
        self.device = torch.device(device)
        networks = _networks()
        for name, network in networks.items():
            _fill(network, read_weights(name))
            network.eval().requires_grad_(False).to(self.device).to(
                memory_format=torch.channels_last
            )
        self._proposal, self._refinement, self._output = networks.values()

    def __call__(
        self,
        images: npt.NDArray[np.uint8],
        min_face: float = 20,
        thresholds: Thresholds = (0.6, 0.7, 0.8),
    ) -> list[npt.NDArray[np.float64]]:
        """Find all faces of some photos.

        Args:
            images: uint8 (n, h, w, 3), RGB.
            min_face: Side in pixels of the smallest face that is looked for, about.
            thresholds: The least probability of a face that each of the networks asks for.

        Returns:
            The faces of each photo, surest first, float64 (k, 15): left, top, right and bottom of
            the box, its score, and x and y of both eyes, the nose and both corners of the mouth, in
            pixels; left is the smaller x of an upright face.
        """
        with torch.inference_mode(), exact(self.device):
            # Rows first, so that all photos are shrunk in one product.
            pixels = torch.tensor(images).to(self.device).transpose(0, 1).contiguous()
            pixels = (pixels.float() - 127.5) / 128
            height, count, width, _ = pixels.shape
            candidates = self._propose(pixels, min_face, thresholds[0])
            candidates = _refine(self._refinement, REFINED_SIDE, pixels, candidates, thresholds[1])
            candidates = squared(suppress(candidates, candidates.photo, 0.7))
            candidates = _refine(self._output, FINAL_SIDE, pixels, candidates, thresholds[2])
            candidates = suppress(candidates, candidates.photo, 0.7, of_smaller=True)
            edges = candidates.corners.new_tensor([width - 1, height - 1]).repeat(2)
            corners = torch.minimum(candidates.corners.clamp(min=0), edges)
            points = candidates.points.reshape(len(corners), 10)
            faces = torch.cat([corners, candidates.scores[:, None].double(), points], dim=1)
            counts = torch.bincount(candidates.photo, minlength=count).tolist()
            return [part.numpy() for part in torch.split(faces.cpu(), counts)]

    def _propose(self, pixels: Tensor, min_face: float, threshold: float) -> Candidates:
        """Let the first network look everywhere, at every size."""
        height, _, width, _ = pixels.shape
        # A photo may be too small for any level.
        levels = [_proposed(pixels.new_empty(0, 6, 1, 1), 1.0, threshold)]
        for scale in pyramid(height, width, min_face):
            shrunk = shrink(pixels, int(height * scale), int(width * scale))
            proposed = _proposed(self._proposal(shrunk), scale, threshold)
            levels.append(suppress(proposed, proposed.photo, 0.5))
        candidates = Candidates(*(torch.cat(columns) for columns in zip(*levels, strict=True)))
        return squared(suppress(candidates, candidates.photo, 0.7))


@functools.cache
def load_mtcnn(device: str = "cpu") -> MTCNN:
    """Give the detector, made at the first call.

    Args:
        device: A CUDA device; for any other the detector computes on the CPU, since it takes
            float64 and sparse products, which not all have.

    Raises:
        DataError: The package `mtcnn` is missing, or its weights are others.
    """
    return MTCNN(device if device.startswith("cuda") else "cpu")


def _networks() -> dict[str, nn.Sequential]:
    """Make the three networks, by the names of their weights.

    Dense layers are convolutions over all that is left of a candidate. The last layer has all
    outputs: four of the box, ten of the points where there are any, not a face and a face.
    """
    return {
        "pnet": nn.Sequential(
            *(nn.Conv2d(3, 10, 3), nn.PReLU(10), nn.MaxPool2d(2, 2, ceil_mode=True)),
            *(nn.Conv2d(10, 16, 3), nn.PReLU(16)),
            *(nn.Conv2d(16, 32, 3), nn.PReLU(32)),
            nn.Conv2d(32, 6, 1),
        ),
        "rnet": nn.Sequential(
            *(nn.Conv2d(3, 28, 3), nn.PReLU(28), nn.MaxPool2d(3, 2, ceil_mode=True)),
            *(nn.Conv2d(28, 48, 3), nn.PReLU(48), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(48, 64, 2), nn.PReLU(64)),
            *(nn.Conv2d(64, 128, 3), nn.PReLU(128)),
            nn.Conv2d(128, 6, 1),
        ),
        "onet": nn.Sequential(
            *(nn.Conv2d(3, 32, 3), nn.PReLU(32), nn.MaxPool2d(3, 2, ceil_mode=True)),
            *(nn.Conv2d(32, 64, 3), nn.PReLU(64), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 64, 3), nn.PReLU(64), nn.MaxPool2d(2, 2, ceil_mode=True)),
            *(nn.Conv2d(64, 128, 2), nn.PReLU(128)),
            *(nn.Conv2d(128, 256, 3), nn.PReLU(256)),
            nn.Conv2d(256, 16, 1),
        ),
    }


def _fill(network: nn.Sequential, weights: list[npt.NDArray[np.float32]]) -> None:
    """Put weights into a network; those of its last layer lie apart, an output each."""
    tensors = iter(torch.from_numpy(np.array(array, np.float32)) for array in weights)
    *layers, last = network
    assert isinstance(last, nn.Conv2d)  # noqa: S101 - as all three are made
    for layer in layers:
        if isinstance(layer, nn.PReLU):
            layer.weight.data.copy_(next(tensors).flatten())
        elif isinstance(layer, nn.Conv2d):
            layer.weight.data.copy_(_kernel(next(tensors), layer.kernel_size[0]))
            layer.bias = nn.Parameter(next(tensors), requires_grad=False)
    outputs = list(tensors)
    last.weight.data.copy_(torch.cat([_kernel(output, 1) for output in outputs[::2]]))
    last.bias = nn.Parameter(torch.cat(outputs[1::2]), requires_grad=False)


def _kernel(weights: Tensor, side: int) -> Tensor:
    """Lay a kernel out as torch does: out, in, height, width."""
    if weights.ndim == 4:
        return weights.permute(3, 2, 0, 1)
    # A dense layer, whose inputs are counted by width, then height, then channel.
    return weights.reshape(side, side, -1, weights.shape[1]).permute(3, 2, 1, 0)


def pyramid(height: int, width: int, min_face: float) -> list[float]:
    """Give the scales at which a photo is looked at, so that `min_face` pixels become `CELL`."""
    count = round(-(math.log(min(height, width) / CELL) / math.log(SHRINKAGE) + 1))
    scales = [CELL / min_face * SHRINKAGE**level for level in range(count)]
    return [scale for scale in scales if int(min(height, width) * scale) >= CELL]


@functools.lru_cache(maxsize=1024)
def area_weights(size: int, length: int, device: torch.device) -> Tensor:
    """Say how much each of `length` equal parts of a line takes of each of its `size` pixels.

    Returns:
        Sparse float32 (length, size), rows of sum 1: a pixel counts by the share of the part that
        it covers.
    """
    first = np.arange(length)[:, None] * (size / length)
    # One pixel more than a part is long can touch it, where rounding is unlucky two.
    pixel = np.floor(first).astype(np.int64) + np.arange(math.ceil(size / length) + 2)
    covered = np.minimum(first + size / length, pixel + 1) - np.maximum(first, pixel)
    row, place = np.nonzero((covered > 0) & (pixel < size))
    weights = torch.from_numpy(covered[row, place] * (length / size)).float()
    places = torch.from_numpy(np.stack([row, pixel[row, place]]))
    return torch.sparse_coo_tensor(
        places, weights, (length, size), device=device, check_invariants=True
    )


def shrink(pixels: Tensor, height: int, width: int) -> Tensor:
    """Shrink photos, every pixel of the result the mean of the area that it stands for.

    Args:
        pixels: float32 (h, n, w, 3).
        height: Of the result in pixels.
        width: Of the result in pixels.

    Returns:
        float32 (n, 3, height, width), channels last in memory.
    """
    full_height, count, full_width, _ = pixels.shape
    rows = area_weights(full_height, height, pixels.device) @ pixels.reshape(full_height, -1)
    rows = rows.reshape(height, count, full_width, 3).permute(2, 1, 0, 3)
    columns = area_weights(full_width, width, pixels.device) @ rows.reshape(full_width, -1)
    columns = columns.reshape(width, count, height, 3)
    return columns.permute(1, 3, 2, 0).contiguous(memory_format=torch.channels_last)


def _proposed(outputs: Tensor, scale: float, threshold: float) -> Candidates:
    """Read what the first network says of each of its places, (n, 6, rows, columns)."""
    scores = outputs[:, 4:].softmax(dim=1)[:, 1]
    places = (scores > threshold).nonzero()
    photo, row, column = places.unbind(dim=1)
    moved = outputs[photo, :4, row, column].double()
    corner = places[:, [2, 1]] * STRIDE
    corners = (torch.cat([corner + 1, corner + CELL], dim=1) + moved * (CELL - 1)) / scale
    points = corners.new_empty(len(corners), 0, 2)
    return Candidates(photo, corners, scores[photo, row, column], points)


def _refine(
    network: nn.Sequential, side: int, pixels: Tensor, candidates: Candidates, threshold: float
) -> Candidates:
    """Show candidates to a network that moves their boxes, and keep those that it takes for faces.

    Args:
        network: The second, or the third, which finds the points, too.
        side: Of what it is shown, in pixels.
        pixels: float32 (h, n, w, 3).
        candidates: With square boxes.
        threshold: The least probability of a face.
    """
    parts = [
        network(crop(pixels, candidates.photo[rows], candidates.corners[rows], side)).flatten(1)
        for rows in torch.split(torch.arange(len(candidates.photo), device=pixels.device), BLOCK)
    ]
    outputs = torch.cat(parts)
    sides = candidates.corners[:, 2:] - candidates.corners[:, :2] + 1
    points = outputs[:, 4:-2].double().reshape(len(outputs), 2, (outputs.shape[1] - 6) // 2).mT
    refined = Candidates(
        candidates.photo,
        candidates.corners + outputs[:, :4].double() * sides.repeat(1, 2),
        outputs[:, -2:].softmax(dim=1)[:, 1],
        points * sides[:, None] + candidates.corners[:, None, :2] - 1,
    )
    return refined.rows(refined.scores > threshold)


def crop(pixels: Tensor, photo: Tensor, corners: Tensor, side: int) -> Tensor:
    """Cut boxes out of photos and scale each to a square, bilinearly, as TensorFlow does.

    Args:
        pixels: float32 (h, n, w, 3).
        photo: The photo of each box, int64 (k,).
        corners: The boxes in pixels, float64 (k, 4).
        side: Of the squares in pixels.

    Returns:
        float32 (k, 3, side, side), channels last in memory; 0 outside of the photo.
    """
    height, count, width, _ = pixels.shape
    size = corners.new_tensor([width, height])
    steps = torch.linspace(0, 1, side, dtype=torch.float64, device=corners.device)
    # A corner is a share of the photo's size there, and a place among its pixels here.
    start, end = (
        pair[:, :, None] * ((size - 1) / size)[:, None] for pair in torch.split(corners, 2, dim=1)
    )
    places = start + steps * (end - start)
    last = (size - 1)[:, None]
    within = (places >= 0) & (places <= last)
    first = torch.minimum(places.clamp(min=0), last).floor()
    share = (places - first).float()
    second = torch.minimum(first + 1, last).long()
    (left, top), (right, bottom) = first.long().unbind(dim=1), second.unbind(dim=1)
    across, down = share[:, 0, None, :, None], share[:, 1, :, None, None]
    flat = pixels.reshape(-1, 3)

    def taken(row: Tensor, column: Tensor) -> Tensor:
        return flat[(row * count + photo[:, None])[:, :, None] * width + column[:, None]]

    upper = torch.lerp(taken(top, left), taken(top, right), across)
    lower = torch.lerp(taken(bottom, left), taken(bottom, right), across)
    inside = within[:, 1, :, None, None] & within[:, 0, None, :, None]
    squares = torch.where(inside, torch.lerp(upper, lower, down), 0.0)
    return squares.permute(0, 3, 1, 2)


def squared(candidates: Candidates) -> Candidates:
    """Widen boxes to squares of the longer side around the same centre."""
    sides = candidates.corners[:, 2:] - candidates.corners[:, :2]
    longer = sides.amax(dim=1, keepdim=True)
    corner = candidates.corners[:, :2] + sides / 2 - longer / 2
    return candidates._replace(corners=torch.cat([corner, corner + longer], dim=1))


def suppress(
    candidates: Candidates, group: Tensor, threshold: float, *, of_smaller: bool = False
) -> Candidates:
    """Drop every box that a surer one of its group overlaps, be that one dropped itself or not.

    Args:
        candidates: The boxes.
        group: The group of each, int64 (k,); boxes of different groups do not touch each other.
        threshold: The least share of the common area in the area of both together.
        of_smaller: Take the share in the area of the smaller box instead.

    Returns:
        The others, sorted by group, and in it by score; equals keep their order.
    """
    order = candidates.scores.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    candidates, group = candidates.rows(order), group[order]
    starts = torch.searchsorted(group, group)
    kept = [torch.zeros(0, dtype=torch.bool, device=group.device)]
    for first in range(0, len(group), BLOCK):
        last = min(first + BLOCK, len(group))
        surer, block = slice(int(starts[first]), last), slice(first, last)
        drops = (
            overlap(candidates.corners[surer], candidates.corners[block], of_smaller) > threshold
        )
        drops &= group[surer, None] == group[block]
        kept.append(~drops.triu(1 + surer.start - first).any(dim=0))
    return candidates.rows(torch.cat(kept))


def overlap(corners: Tensor, others: Tensor, of_smaller: bool = False) -> Tensor:
    """Give the common area of boxes as a share of their union, or of the smaller one.

    Args:
        corners: (k, 4).
        others: (l, 4).
        of_smaller: The share in the smaller one.

    Returns:
        (k, l).
    """
    areas, other_areas = (
        (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (corners, others)
    )
    low = torch.maximum(corners[:, None, :2], others[:, :2])
    high = torch.minimum(corners[:, None, 2:], others[:, 2:])
    common: Tensor = (high - low).clamp(min=0).prod(dim=2)
    if of_smaller:
        return torch.div(common, torch.minimum(areas[:, None], other_areas))
    return torch.div(common, areas[:, None] + other_areas - common)
