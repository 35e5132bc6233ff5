"""Tests of the random views against a plain reference, image by image."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as reference

from contrastive_age.errors import DataError
from contrastive_age.training.augmentation import (
    centre_crop,
    draw,
    frame_size,
    geometry,
    prepare,
    sample,
)
from contrastive_age.training.recipe import Augmentation
from training.recipes import SMALL

VIEWS = SMALL.augmentation
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def augment(images, image_size, augmentation, generator):
    """A random view of each image."""
    frame = images.shape[-1]
    draws = draw(len(images), frame, image_size, augmentation, generator)
    return sample(images, image_size, geometry(draws, frame, image_size))


def random_images(number, size, seed=5):
    """Random images, smooth enough that a sampling error of a fraction of a pixel stays small."""
    coarse = torch.rand((number, 3, 6, 6), generator=generator(seed)) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return smooth.clamp(0, 255).byte()


def view_by_torchvision(image, image_size, draws, row, border=40):
    """Edges repeated, affine, mirror, crop, normalise: one image, one torchvision call a step."""
    view = reference.affine(
        reference.pad(image.float() / 255, [border] * 4, padding_mode="edge"),
        angle=math.degrees(draws.angle[row]),
        translate=draws.shift[row].tolist(),
        scale=draws.scale[row].item(),
        shear=[0.0, 0.0],
        interpolation=InterpolationMode.BILINEAR,
    )
    if draws.mirror[row, 0] < 0:
        view = reference.hflip(view)
    if draws.mirror[row, 1] < 0:
        view = reference.vflip(view)
    left, top = (int(x) + border for x in draws.corner[row])
    return reference.normalize(reference.crop(view, top, left, image_size, image_size), MEAN, STD)


@pytest.mark.parametrize("flip", ["horizontal", "vertical", "none"])
@pytest.mark.parametrize(("frame", "image_size"), [(37, 32), (73, 64), (64, 56)])
def test_equals_torchvision_image_by_image(flip, frame, image_size):
    images = random_images(12, frame)
    augmentation = Augmentation(degrees=25, translate=0.1, scale=0.3, flip=flip)
    draws = draw(12, frame, image_size, augmentation, generator(1))
    views = sample(images, image_size, geometry(draws, frame, image_size))
    for row in range(12):
        expected = view_by_torchvision(images[row], image_size, draws, row)
        torch.testing.assert_close(views[row], expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("flip", ["horizontal", "vertical", "none"])
def test_an_image_of_one_colour_has_no_border_in_any_view(flip):
    colour = torch.tensor([10, 120, 250], dtype=torch.uint8).view(1, 3, 1, 1)
    images = colour.expand(50, 3, 73, 73).contiguous()
    varied = Augmentation(degrees=45, translate=0.3, scale=0.5, flip=flip)
    views = augment(images, 64, varied, generator())
    expected = centre_crop(images[:, :, :64, :64], 64)
    torch.testing.assert_close(views, expected, atol=1e-5, rtol=0)


def test_a_view_without_variation_is_the_exact_cut():
    images = torch.randint(0, 256, (5, 3, 37, 37), dtype=torch.uint8, generator=generator())
    still = Augmentation(degrees=0, translate=0, scale=0, flip="none")
    draws = draw(5, 37, 32, still, generator())._replace(corner=torch.full((5, 2), 2.0))
    views = sample(images, 32, geometry(draws, 37, 32))
    expected = reference.normalize(images[:, :, 2:34, 2:34].float() / 255, MEAN, STD)
    torch.testing.assert_close(views, expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("frame", "image_size"), [(38, 32), (256, 224), (20, 20)])
def test_where_an_even_number_of_pixels_is_spare_the_centre_is_a_slice(frame, image_size):
    images = random_images(2, frame)
    first = (frame - image_size) // 2
    cut = images[:, :, first : first + image_size, first : first + image_size].float() / 255
    torch.testing.assert_close(centre_crop(images, image_size), reference.normalize(cut, MEAN, STD))


@pytest.mark.parametrize(("frame", "image_size"), [(37, 32), (73, 64), (55, 48), (256, 224)])
def test_the_centre_is_that_of_a_view_without_variation(frame, image_size):
    """Training samples it where it lies, between two pixels where an odd number is spare."""
    images = torch.randint(0, 256, (3, 3, frame, frame), dtype=torch.uint8, generator=generator())
    still = Augmentation(degrees=0, translate=0, scale=0, flip="none")
    middle = torch.full((3, 2), (frame - image_size) / 2)
    draws = draw(3, frame, image_size, still, generator())._replace(corner=middle)
    views = sample(images, image_size, geometry(draws, frame, image_size))
    torch.testing.assert_close(centre_crop(images, image_size), views, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("frame", "image_size"), [(37, 32), (38, 32)])
@pytest.mark.parametrize("axis", [2, 3])
def test_the_centre_of_a_mirrored_image_is_mirrored(frame, image_size, axis):
    images = random_images(2, frame)
    mirrored = centre_crop(images.flip(axis), image_size)
    torch.testing.assert_close(mirrored, centre_crop(images, image_size).flip(axis))


def test_images_stay_as_they_were():
    images = random_images(2, 37)
    before = images.clone()
    augment(images, 32, VIEWS, generator())
    centre_crop(images, 37)
    assert torch.equal(images, before)


def test_one_seed_one_view_and_each_image_its_own():
    images = random_images(1, 37).expand(3, -1, -1, -1)
    once = augment(images, 32, VIEWS, generator(3))
    again = augment(images, 32, VIEWS, generator(3))
    assert torch.equal(once, again)
    assert not torch.equal(once[0], once[1])
    assert not torch.equal(once, augment(images, 32, VIEWS, generator(4)))


def test_views_drawn_together_are_those_drawn_batch_by_batch():
    together, apart = generator(1), generator(1)
    sizes = [62, 64, 1, 65, 25]
    maps = geometry(draw(sum(sizes), 37, 32, VIEWS, together), 37, 32).split(sizes)
    for size, drawn in zip(sizes, maps, strict=True):
        alone = geometry(draw(size, 37, 32, VIEWS, apart), 37, 32)
        assert torch.equal(drawn, alone)


def test_draws_fill_their_ranges():
    augmentation = Augmentation(degrees=10, translate=0.05, scale=0.2, flip="horizontal")
    draws = draw(4000, 40, 35, augmentation, generator())
    limit = math.radians(10)
    assert -limit <= draws.angle.min() < -0.95 * limit
    assert 0.95 * limit < draws.angle.max() <= limit
    assert 0.8 <= draws.scale.min() < 0.82
    assert 1.18 < draws.scale.max() <= 1.2
    assert draws.shift.abs().max() <= 2
    assert (draws.shift.abs().amax(dim=0) > 1.9).all()
    assert draws.mirror[:, 0].mean().abs() < 0.06
    assert (draws.mirror[:, 1] == 1).all()
    for axis in range(2):
        corners, counts = draws.corner[:, axis].unique(return_counts=True)
        assert corners.tolist() == [0, 1, 2, 3, 4, 5]
        assert counts.min() > 0.8 * 4000 / 6


def test_each_value_is_drawn_on_its_own():
    draws = draw(4000, 40, 30, VIEWS, generator())
    values = [draws.angle, draws.scale, *draws.shift.T, draws.mirror[:, 0], *draws.corner.T]
    correlation = torch.corrcoef(torch.stack(values)) - torch.eye(len(values))
    assert correlation.abs().max() < 0.08


@pytest.mark.parametrize(("image_size", "size"), [(224, 256), (64, 73), (96, 110), (48, 55)])
def test_the_network_sees_224_of_256(image_size, size):
    assert frame_size(image_size) == size


@pytest.mark.parametrize("image_size", [0, 31, 225, 256])
def test_an_image_size_that_does_not_fit_is_refused(image_size):
    with pytest.raises(DataError, match=rf"image_size={image_size} .* between 32 and 224"):
        frame_size(image_size)


@pytest.fixture
def faces(tmp_path):
    """Five aligned faces in a file, opened as the pipeline opens them."""
    images = random_images(5, 256).permute(0, 2, 3, 1).numpy()
    np.save(tmp_path / "faces.npy", images)
    return np.load(tmp_path / "faces.npy", mmap_mode="r")


def test_prepare_downscales_as_pil_does(faces):
    rows = np.array([4, 0, 2])
    prepared = prepare(faces, rows, image_size=64, chunk_size=2)
    assert prepared.shape == (3, 3, 73, 73)
    assert prepared.dtype == torch.uint8
    for row, image in zip(rows, prepared, strict=True):
        expected = Image.fromarray(faces[row]).resize((73, 73), Image.Resampling.BILINEAR)
        difference = image.permute(1, 2, 0).numpy().astype(int) - np.asarray(expected, dtype=int)
        assert np.abs(difference).max() <= 1


def test_prepare_at_full_size_keeps_every_pixel(faces):
    prepared = prepare(faces, np.array([1, 3]), image_size=224)
    assert np.array_equal(prepared.permute(0, 2, 3, 1).numpy(), faces[[1, 3]])


def test_prepare_does_not_depend_on_the_chunks(faces):
    rows = np.arange(5)
    once = prepare(faces, rows, image_size=32, chunk_size=5)
    assert torch.equal(once, prepare(faces, rows, image_size=32, chunk_size=1))
    assert prepare(faces, rows[:0], image_size=32).shape == (0, 3, 37, 37)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((2, 128, 128, 3), dtype=np.uint8), np.zeros((2, 256, 256, 3), dtype=np.float32)],
)
def test_what_is_no_aligned_face_is_refused(wrong):
    with pytest.raises(DataError, match="no aligned faces"):
        prepare(wrong, np.array([0]), image_size=64)
