"""Copies found by bytes and by looks, against comparing all with all."""

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from contrastive_age.faces.looks import look_of
from contrastive_age.protocols import copies
from contrastive_age.protocols.copies import Photos, find_copies, find_known, group


def photos(drawn: list[tuple[int, int, int, bool]]) -> Photos:
    """Photos of which only the first bytes of digest and hashes differ."""
    table = np.zeros((3, len(drawn), 32), np.uint8)
    for name, column in enumerate(zip(*drawn, strict=True)):
        if name < 3:
            table[name, :, 5 * name] = column
    return Photos(*table, np.array([own[3] for own in drawn], bool))


def random_photos(n: int, seed: int = 0) -> Photos:
    digests, looks, mirrored = np.random.default_rng(seed).integers(0, 256, (3, n, 32), np.uint8)
    return Photos(digests, looks, mirrored, np.ones(n, bool))


def flipped(hashes: np.ndarray, bits: int, seed: int = 0) -> np.ndarray:
    """The hashes with so many bits of each changed."""
    rng = np.random.default_rng(seed)
    changed = np.argsort(rng.random((len(hashes), 256)), axis=1) < bits
    return hashes ^ np.packbits(changed, axis=1)


def nearest(one: Photos, i: int, other: Photos, j: int, most_bits: int) -> tuple[int, str] | None:
    """How a photo is a copy of another, by the definition; the mirrored one is the other."""
    if np.array_equal(one.digests[i], other.digests[j]):
        return 0, "bytes"
    if not (one.compared[i] and other.compared[j]):
        return None
    ways = [
        (int(np.bitwise_count(one.looks[i] ^ hashes[j]).sum()), how)
        for hashes, how in ((other.looks, "look"), (other.mirrored, "mirror"))
    ]
    return min(ways) if min(ways)[0] <= most_bits else None


byte = st.integers(0, 255)
some = st.lists(st.tuples(st.integers(0, 9), byte, byte, st.booleans()), max_size=12)
most = st.integers(0, 3)


@settings(max_examples=60, deadline=None)
@given(known=some, tested=some, most_bits=most)
def test_known_ones_are_those_that_comparing_all_with_all_finds(
    known: list[tuple[int, int, int, bool]],
    tested: list[tuple[int, int, int, bool]],
    most_bits: int,
) -> None:
    one, other = photos(known), photos(tested)
    expected = []
    for j in range(len(other)):
        ways = [(nearest(one, i, other, j, most_bits), i) for i in range(len(one))]
        if near := [(way, i) for way, i in ways if way]:
            (bits, how), i = min(near, key=lambda own: (own[0][1] != "bytes", *own[0], own[1]))
            expected.append((j, i, how, bits))
    found = find_known(one, other, most_bits)
    assert list(found.columns) == ["tested", "known", "how", "bits"]
    assert list(found.itertuples(index=False, name=None)) == expected


@settings(max_examples=60, deadline=None)
@given(drawn=some, most_bits=most)
def test_copies_are_those_that_comparing_all_with_all_finds(
    drawn: list[tuple[int, int, int, bool]], most_bits: int
) -> None:
    own = photos(drawn)
    expected = {}
    for i in range(len(own)):
        for j in range(i + 1, len(own)):
            ways = [nearest(own, i, own, j, most_bits), nearest(own, j, own, i, most_bits)]
            if near := [(bits, how) for bits, how in filter(None, ways)]:
                expected[i, j] = min(near)
    found = find_copies(own, most_bits)
    pairs = list(zip(found["first"], found["second"], strict=True))
    assert pairs == sorted(set(pairs))
    assert all(i < j for i, j in pairs)
    for pair, bits, how in zip(pairs, found["bits"], found["how"], strict=True):
        assert expected[pair] == (bits, how)
    # The first of those with the same hashes stands for them; no pair of such is missing.
    hashes = [own[1:3] if own[3] else (row, row) for row, own in enumerate(drawn)]
    first = {j for j in range(len(own)) if own.compared[j] and hashes[j] not in hashes[:j]}
    assert {pair for pair, (_, how) in expected.items() if how != "bytes" and first >= {*pair}} <= {
        *pairs
    }
    every = pd.DataFrame(list(expected), columns=["first", "second"], dtype=np.int64)
    assert np.array_equal(group(found, len(own)), group(every, len(own)))


def test_a_group_is_named_by_its_first_photo() -> None:
    pairs = pd.DataFrame({"first": [1, 3, 0], "second": [3, 4, 5]})
    assert group(pairs, 7).tolist() == [0, 1, 2, 1, 1, 0, 6]
    assert group(pairs, 7).dtype == np.int64
    assert group(pairs.iloc[:0], 2).tolist() == [0, 1]
    assert group(pairs.iloc[:0], 0).tolist() == []


@pytest.fixture
def by_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search even few photos by sampling."""
    monkeypatch.setattr(copies, "MOST_COMPARED", 0)
    monkeypatch.setattr(copies, "TABLE_COST", 0)


def with_copies(n: int, bits: int) -> Photos:
    """A photo each and a copy of each, every other one mirrored."""
    own = random_photos(n)
    turned = (np.arange(n) % 2 == 1)[:, None]
    copied = Photos(
        random_photos(n, seed=1).digests,
        flipped(np.where(turned, own.mirrored, own.looks), bits),
        flipped(np.where(turned, own.looks, own.mirrored), bits, seed=2),
        own.compared,
    )
    return Photos.union([own, copied])


@pytest.mark.parametrize("bits", [0, 8, 25, 34])
def test_sampling_finds_what_comparing_all_finds(
    bits: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    own = with_copies(1500, bits)
    exact = find_copies(own)
    assert exact["second"].tolist() == list(range(1500, 3000))
    assert exact["how"].tolist() == ["look", "mirror"] * 750
    request.getfixturevalue("by_sampling")
    assert find_copies(own).equals(exact)


@pytest.mark.parametrize("bits", [0, 8, 25, 34])
@pytest.mark.usefixtures("by_sampling")
def test_sampling_finds_known_ones(bits: int) -> None:
    own = with_copies(1500, bits)
    tested = np.random.default_rng(3).permutation(1500)
    found = find_known(own.take(np.arange(1500)), own.take(1500 + tested))
    assert found["known"].tolist() == tested.tolist()
    assert found["bits"].max() <= bits
    assert found["how"].tolist() == np.where(tested % 2, "mirror", "look").tolist()


@pytest.mark.usefixtures("by_sampling")
def test_hardly_a_pair_at_the_limit_is_missed() -> None:
    assert len(find_copies(with_copies(3000, 40))) >= 2985


@pytest.mark.usefixtures("by_sampling")
def test_no_pair_beyond_the_limit_is_found() -> None:
    assert find_copies(with_copies(300, 41)).empty


def test_as_many_tables_as_the_recall_asks_for() -> None:
    for most_bits in (0, 8, 40, 60):
        sampled, tables = copies._plan(10**6, most_bits)
        same = np.prod(1 - most_bits / (256 - np.arange(sampled)))
        assert 1 - (1 - same) ** tables >= copies.RECALL
        assert tables == 1 or 1 - (1 - same) ** (tables - 1) < copies.RECALL


@pytest.mark.parametrize("most_bits", [0, 8, 60, 150, 255, 256])
def test_any_limit_is_searched(most_bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST_COMPARED", 0)
    own = random_photos(40)
    expected = [
        (i, j) for i in range(40) for j in range(i + 1, 40) if nearest(own, i, own, j, most_bits)
    ]
    found = find_copies(own, most_bits)
    assert set(expected) <= set(zip(found["first"], found["second"], strict=True))


@pytest.mark.usefixtures("by_sampling")
def test_many_copies_of_one_photo() -> None:
    own = random_photos(1)
    rows = np.zeros(5000, np.int64)
    digests = random_photos(5000).digests
    equal = Photos(digests, own.looks[rows], own.mirrored[rows], own.compared[rows])
    found = find_copies(equal)
    assert found["first"].tolist() == [0] * 4999
    assert find_known(equal, equal.take(np.arange(4990, 5000)))["known"].tolist() == list(
        range(4990, 5000)
    )
    tested = Photos(digests[::-1] ^ 1, equal.looks, equal.mirrored, equal.compared)
    assert find_known(equal, tested)["known"].tolist() == [0] * 5000


@pytest.mark.usefixtures("by_sampling")
def test_many_photos_nearly_alike_are_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST_NEIGHBOURS", 4)
    own = random_photos(300)
    alike = Photos(
        own.digests,
        flipped(own.looks[[0] * 300], 3),
        flipped(own.mirrored[[0] * 300], 3, seed=1),
        own.compared,
    )
    assert not group(find_copies(alike, 8), 300).any()
    assert len(find_known(alike, alike.take(np.arange(200)), 8)) == 200


def test_the_same_photos_give_the_same_pairs(by_sampling: None) -> None:
    own = with_copies(200, 40)
    assert find_copies(own).equals(find_copies(own))


def face(seed: int) -> Image.Image:
    """Patches of light and shade, as unlike another seed's as faces are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
    return Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)


def compressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file).convert("RGB")


def photos_of(images: list[Image.Image], first: int = 0) -> Photos:
    """Photos of which no two have the same bytes."""
    looks = [look_of(np.asarray(image)) for image in images]
    in_digits = [
        ("", "") if look is None else [own.tobytes().hex() for own in look] for look in looks
    ]
    table = pd.DataFrame(in_digits, columns=["look", "mirrored"])
    return Photos.of_table(table.assign(digest=[f"{first + row:064x}" for row in table.index]))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda image: image,
    "compressed": compressed,
    "small": lambda image: image.resize((128, 128)).resize((256, 256)),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "brighter": lambda image: image.point(lambda value: min(255, int(1.2 * value))),
    "moved": lambda image: image.transform(
        (256, 256), Image.Transform.AFFINE, (1, 0, 1.5, 0, 1, -1)
    ),
}


@pytest.mark.parametrize("how", ["look", "mirror"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_no_other_face(change: str, how: str) -> None:
    copy = CHANGES[change](face(1))
    copy = ImageOps.mirror(copy) if how == "mirror" else copy
    known = photos_of([face(seed) for seed in range(30)])
    tested = photos_of([copy, face(99)], first=30)
    found = find_known(known, tested)
    assert found[["tested", "known", "how"]].to_numpy().tolist() == [[0, 1, how]]
    found = find_copies(Photos.union([known, tested]))
    assert found[["first", "second", "how"]].to_numpy().tolist() == [[1, 30, how]]


def test_a_face_like_its_own_mirror_image_is_no_copy_of_itself() -> None:
    own = random_photos(3)
    symmetric = Photos(own.digests, own.looks, own.looks, own.compared)
    assert find_copies(symmetric).empty


def test_faces_that_are_not_compared_are_copies_by_bytes_alone() -> None:
    black = Image.new("RGB", (256, 256))
    own = photos_of([black, black, face(0), black])
    assert own.compared.tolist() == [False, False, True, False]
    assert find_copies(own).empty
    assert find_known(own, photos_of([black], first=9)).empty
    same = Photos(own.digests[[0, 1, 2, 1]], own.looks, own.mirrored, own.compared)
    assert find_copies(same).to_numpy().tolist() == [[1, 3, "bytes", 0]]
    known = find_known(own, same.take(np.array([3])))
    assert known.to_numpy().tolist() == [[0, 1, "bytes", 0]]


def test_nothing_is_among_nothing() -> None:
    none, own = random_photos(0), random_photos(3)
    for known, tested in ((none, none), (none, own), (own, none)):
        assert find_known(known, tested).empty
    assert find_copies(none).empty
    assert find_copies(own).empty
    assert group(find_copies(own), 3).tolist() == [0, 1, 2]


def test_a_union_has_each_photo_once_in_their_order() -> None:
    own = random_photos(6)
    again = own.take(np.array([4, 1, 1, 5]))
    united = Photos.union([own.take(np.array([2, 1])), again, own])
    rows = [2, 1, 4, 5, 0, 3]
    assert np.array_equal(united.digests, own.digests[rows])
    assert np.array_equal(united.looks, own.looks[rows])
    assert np.array_equal(united.mirrored, own.mirrored[rows])
    assert united.compared.all()


def test_photos_with_the_same_bytes_but_another_face_are_both_kept() -> None:
    own = random_photos(2)
    other = Photos(own.digests, own.looks[::-1], own.mirrored, own.compared)
    assert len(Photos.union([own, other])) == 4


def test_photos_of_a_table() -> None:
    own = random_photos(3)
    table = pd.DataFrame(
        {
            "sample_id": ["a", "b", "c"],
            "digest": [row.tobytes().hex() for row in own.digests],
            "look": [row.tobytes().hex() for row in own.looks[:2]] + [""],
            "mirrored": [row.tobytes().hex() for row in own.mirrored[:2]] + [""],
        }
    )
    read = Photos.of_table(table)
    assert np.array_equal(read.digests, own.digests)
    assert np.array_equal(read.looks[:2], own.looks[:2])
    assert np.array_equal(read.mirrored[:2], own.mirrored[:2])
    assert read.compared.tolist() == [True, True, False]
    assert len(Photos.of_table(table.iloc[:0])) == 0


@pytest.mark.parametrize("column", ["digest", "look", "mirrored"])
@pytest.mark.parametrize("value", ["12", "x" * 64, "\N{DIGIT ONE}" * 63])
def test_a_table_with_something_else_in_it_is_refused(column: str, value: str) -> None:
    row = {"sample_id": "a", "digest": "0" * 64, "look": "1" * 64, "mirrored": "2" * 64}
    with pytest.raises(ValueError, match="hexadecimal"):
        Photos.of_table(pd.DataFrame([row | {column: value}]))
