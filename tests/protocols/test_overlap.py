"""Photos found again by their bytes and by their looks, against comparing all with all."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contrastive_age.protocols.overlap import (
    Fingerprints,
    find_overlap,
    perceptual_hashes,
    take_fingerprints,
)


def photos(hashes: list[int], digests: list[int]) -> Fingerprints:
    """Photos of which only the first bytes of hash and digest differ."""
    table = np.zeros((2, len(hashes), 32), np.uint8)
    table[0, :, 0], table[1, :, 31] = digests, hashes
    return Fingerprints(*table)


byte = st.integers(0, 255)
some = st.lists(st.tuples(byte, st.integers(0, 9)), max_size=12)


@settings(max_examples=60)
@given(known=some, tested=some, most_bits=st.integers(0, 3))
def test_what_is_found_is_what_comparing_all_with_all_finds(
    known: list[tuple[int, int]], tested: list[tuple[int, int]], most_bits: int
) -> None:
    found = find_overlap(
        photos([h for h, _ in known], [d for _, d in known]),
        photos([h for h, _ in tested], [d for _, d in tested]),
        most_bits,
    )
    by_row = found.set_index("tested")
    for row, (hash_, digest) in enumerate(tested):
        distances = [(hash_ ^ own).bit_count() for own, _ in known]
        same = [place for place, (_, own) in enumerate(known) if own == digest]
        if same:
            assert by_row.loc[row, "how"] == "bytes"
            assert by_row.loc[row, "known"] in same
        elif distances and min(distances) <= most_bits:
            assert by_row.loc[row, "how"] == "look"
            assert by_row.loc[row, "bits"] == min(distances)
            assert distances[by_row.loc[row, "known"]] == min(distances)
        else:
            assert row not in by_row.index


def test_more_photos_than_are_compared_at_once() -> None:
    rng = np.random.default_rng(0)
    known = Fingerprints(*rng.integers(0, 256, (2, 700, 32), np.uint8))
    order = rng.permutation(700)
    tested = Fingerprints(np.zeros((700, 32), np.uint8), known.hashes[order])
    found = find_overlap(known, tested)
    assert found["known"].tolist() == order.tolist()
    assert set(found["bits"]) == {0}


def face(seed: int) -> Image.Image:
    """Patches of light and shade, as unlike another seed's as faces are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
    return Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)


def compressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file).convert("RGB")


@pytest.mark.parametrize("change", ["compressed", "small", "grey", "brighter", "moved"])
def test_a_changed_copy_is_found_and_no_other_face(change: str) -> None:
    image = face(1)
    copy = {
        "compressed": compressed(image),
        "small": image.resize((100, 100)).resize((256, 256)),
        "grey": image.convert("L").convert("RGB"),
        "brighter": image.point(lambda value: min(255, int(1.2 * value))),
        "moved": image.transform((256, 256), Image.Transform.AFFINE, (1, 0, 1.5, 0, 1, -1)),
    }[change]
    known = np.stack([np.asarray(face(seed)) for seed in range(30)])
    tested = np.stack([np.asarray(copy), np.asarray(face(99))])
    digests = pd.Series([f"{row:064x}" for row in range(32)])
    found = find_overlap(
        take_fingerprints(digests[:30], known, np.arange(30)),
        take_fingerprints(digests[30:], tested, np.arange(2)),
    )
    assert found[["tested", "known", "how"]].to_numpy().tolist() == [[0, 1, "look"]]


def test_faces_are_taken_by_their_rows() -> None:
    faces = np.stack([np.asarray(face(seed)) for seed in range(3)])
    all_of_them = perceptual_hashes(faces, np.arange(3))
    assert np.array_equal(perceptual_hashes(faces, np.array([2, 0])), all_of_them[[2, 0]])
