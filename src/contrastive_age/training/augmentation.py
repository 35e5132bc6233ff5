"""Random views of faces, made for a whole batch at once on the device that holds them.

What is random is drawn on the CPU, for many batches at once and alike for every device.

The aligned face (256 pixels a side) is downscaled once, to the frame of which the network sees
224/256. Each step then takes ONE batched sampling through that frame: affine, mirror and crop
together. At test the centre of the frame is cut out.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from contrastive_age.errors import DataError
from contrastive_age.model.backbone import IMAGENET, Normalisation
from contrastive_age.training.recipe import CROP_SIZE, SMALLEST_IMAGE, Augmentation

ALIGNED_SIZE = 256


class Draws(NamedTuple):
    """The random values of n views.

    Attributes:
        angle: Rotation in radians, clockwise as seen on the image, (n,).
        scale: Magnification, (n,).
        shift: Translation to the right and down in pixels of the frame, (n, 2).
        mirror: 1 or -1 for each axis (x, y), (n, 2).
        corner: Left and top pixel of the crop in the frame, whole numbers, (n, 2).
    """

    angle: Tensor
    scale: Tensor
    shift: Tensor
    mirror: Tensor
    corner: Tensor


def frame_size(image_size: int) -> int:
    """Give the side of the frame whose 224/256 is `image_size` pixels.

    Raises:
        DataError: `image_size` is not between 32 and 224.
    """
    if not SMALLEST_IMAGE <= image_size <= CROP_SIZE:
        raise DataError(
            f"training.image_size={image_size} does not fit: the aligned faces give between "
            f"{SMALLEST_IMAGE} and {CROP_SIZE} pixels"
        )
    return round(ALIGNED_SIZE * image_size / CROP_SIZE)


def prepare(
    faces: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    image_size: int,
    chunk_size: int = 32,
) -> Tensor:
    """Downscale chosen faces, with antialiasing, to the frame that training and test crop from.

    Args:
        faces: Aligned faces, uint8 (N, 256, 256, 3) RGB; may be memory-mapped, read chunk by chunk.
        rows: Which of them, (n,).
        image_size: Side in pixels of what the network sees.
        chunk_size: Faces handled at a time; so few that they stay in the processor's cache.

    Returns:
        uint8 (n, 3, S, S) with S = round(256 image_size / 224).

    Raises:
        DataError: The faces are no aligned faces, or `image_size` does not fit.
    """
    if faces.dtype != np.uint8 or faces.shape[1:] != (ALIGNED_SIZE, ALIGNED_SIZE, 3):
        raise DataError(
            f"faces of shape {faces.shape} and type {faces.dtype} are no aligned faces, uint8 "
            f"(N, {ALIGNED_SIZE}, {ALIGNED_SIZE}, 3); run the alignment again"
        )
    size = frame_size(image_size)
    prepared = torch.empty((len(rows), 3, size, size), dtype=torch.uint8)
    for start in range(0, len(rows), chunk_size):
        part = torch.from_numpy(faces[rows[start : start + chunk_size]]).permute(0, 3, 1, 2)
        if size != ALIGNED_SIZE:
            part = interpolate(part, size=(size, size), mode="bilinear", antialias=True)
        prepared[start : start + chunk_size] = part
    return prepared


def draw(
    number: int,
    frame: int,
    image_size: int,
    augmentation: Augmentation,
    generator: torch.Generator,
) -> Draws:
    """Draw the values of `number` views of `image_size` pixels through frames of `frame` pixels."""
    unit = torch.rand((number, 7), generator=generator)
    symmetric = 2 * unit - 1
    mirror = torch.ones((number, 2))
    if augmentation.flip != "none":
        mirror[unit[:, 4] < 0.5, 0 if augmentation.flip == "horizontal" else 1] = -1
    spare = frame - image_size
    return Draws(
        angle=symmetric[:, 0] * math.radians(augmentation.degrees),
        scale=1 + symmetric[:, 1] * augmentation.scale,
        shift=symmetric[:, 2:4] * augmentation.translate * frame,
        mirror=mirror,
        corner=torch.floor(unit[:, 5:7] * (spare + 1)),
    )


def geometry(draws: Draws, frame: int, image_size: int) -> Tensor:
    r"""Give the affine maps from n views to the frames that they are sampled from.

    Affine transform about the centre, mirroring and crop (in this order) are one map from a pixel
    of the view to a place in the frame: with d the pixel's position relative to the frame's centre,
    F the mirroring, R the rotation by the angle, s the scale and t the shift, the place is
    R^{-1} (F d - t) / s.

    Args:
        draws: Of n views.
        frame: Side of the frames in pixels.
        image_size: Side of the views in pixels.

    Returns:
        float32 (n, 2, 3), as torch's `affine_grid` takes them: they count in half sides of view
        and frame, from their centres.
    """
    number = len(draws.angle)
    cos, sin = torch.cos(draws.angle), torch.sin(draws.angle)
    inverse = torch.stack([cos, sin, -sin, cos], dim=1).view(number, 2, 2)
    inverse = inverse / draws.scale[:, None, None]
    centre = draws.corner - (frame - image_size) / 2
    offset = inverse @ (draws.mirror * centre - draws.shift)[:, :, None] * (2 / frame)
    linear = inverse * draws.mirror[:, None, :] * (image_size / frame)
    return torch.cat([linear, offset], dim=2)


class Scaling(NamedTuple):
    """What brings values 0..255 to a mean and spread of 0 and 1: shift + value * scale.

    Attributes:
        shift: (3, 1, 1).
        scale: (3, 1, 1).
    """

    shift: Tensor
    scale: Tensor


def scaling(device: torch.device, normalisation: Normalisation = IMAGENET) -> Scaling:
    """Make the scaling of images on a device; a GPU is waited for."""
    mean, std = (torch.tensor(each, device=device)[:, None, None] for each in normalisation)
    return Scaling(-mean / std, 1 / (255 * std))


def sample(images: Tensor, image_size: int, maps: Tensor, scaled: Scaling | None = None) -> Tensor:
    """Take one normalised view of each image; outside of it, its edge is repeated.

    So does the alignment, and the views of a test have no black borders, either.

    Args:
        images: uint8 (n, 3, S, S), on any device.
        image_size: Side of the views in pixels.
        maps: From `geometry`, (n, 2, 3), on the same device.
        scaled: From `scaling`, on the same device; ImageNet's when None.

    Returns:
        float32 (n, 3, image_size, image_size), bilinearly sampled and normalised.
    """
    outermost = 1 - 1 / image_size
    places = torch.linspace(-outermost, outermost, image_size, device=images.device)
    along = maps[:, :, 0, None] * places
    down = torch.addcmul(maps[:, :, 2, None], maps[:, :, 1, None], places)
    grid = (along[:, :, None, :] + down[:, :, :, None]).permute(0, 2, 3, 1)
    shift, scale = scaled or scaling(images.device)
    # Scaled first, because bytes have to become floats anyway: the weights of a place sum to 1.
    values = torch.addcmul(shift, images, scale)
    return grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=False)


def centre_crop(images: Tensor, image_size: int, normalisation: Normalisation = IMAGENET) -> Tensor:
    """Cut the centre out of each image and normalise it.

    Args:
        images: uint8 (n, 3, S, S), on any device.
        image_size: Side of the centre in pixels.
        normalisation: The network's.

    Returns:
        float32 (n, 3, image_size, image_size).
    """
    shift, scale = scaling(images.device, normalisation)
    return torch.addcmul(shift, centre(images, image_size), scale)


def centre(images: Tensor, image_size: int) -> Tensor:
    """Cut the centre out of each image.

    Where an odd number of pixels is to spare, the centre lies between two of them: the view is
    sampled there, as the views of training are, and not half a pixel beside it.

    Args:
        images: Values 0..255, (n, 3, S, S), on any device.
        image_size: Side of the centre in pixels.

    Returns:
        The values, float32 (n, 3, image_size, image_size).
    """
    first, between = divmod(images.shape[-1] - image_size, 2)
    last = first + image_size + between
    views = images[:, :, first:last, first:last].float()
    return avg_pool2d(views, kernel_size=2, stride=1) if between else views
