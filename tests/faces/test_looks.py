"""The hash of a face, and its mirror image's."""

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps

from contrastive_age.faces import looks
from contrastive_age.faces.looks import look_of


def face(seed: int, size: int = 256) -> Image.Image:
    """Patches of light and shade, as unlike another seed's as faces are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def hashes(image: Image.Image) -> np.ndarray:
    look = look_of(np.asarray(image))
    assert look is not None
    return look


def bits(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.bitwise_count(one ^ other).sum())


@pytest.mark.parametrize("seed", range(5))
def test_a_look_is_the_perceptual_hash_of_the_library(seed: int) -> None:
    expected = imagehash.phash(face(seed), hash_size=looks.SIDE).hash
    look = hashes(face(seed))
    assert look.dtype == np.uint8
    assert look.shape == (2, looks.BYTES)
    assert np.array_equal(np.unpackbits(look[0]), expected.ravel())


@pytest.mark.parametrize("seed", range(5))
def test_a_mirrored_face_has_the_same_two_hashes_in_turn(seed: int) -> None:
    look, mirrored = hashes(face(seed)), hashes(ImageOps.mirror(face(seed)))
    assert bits(look[0], mirrored[1]) <= 4
    assert bits(look[1], mirrored[0]) <= 4
    assert bits(look[0], mirrored[0]) > 60


def test_faces_that_differ_have_looks_that_differ() -> None:
    some = [hashes(face(seed))[0] for seed in range(10)]
    assert min(bits(some[i], some[j]) for i in range(10) for j in range(i)) > 60


def test_the_size_of_the_aligned_face_hardly_matters() -> None:
    assert bits(hashes(face(0, 256))[0], hashes(face(0, 512))[0]) <= 10


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_face_has_no_look(value: int) -> None:
    assert look_of(np.full((256, 256, 3), value, np.uint8)) is None


def test_noise_alone_is_flat_and_a_dark_face_is_not() -> None:
    noise = np.random.default_rng(0).integers(0, 9, (256, 256, 3), np.uint8)
    assert look_of(noise) is None
    assert look_of(np.asarray(face(0)) // 8) is not None
