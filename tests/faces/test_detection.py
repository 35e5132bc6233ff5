"""Finding faces: which looks are taken, where on the photo it is, several at a time."""

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.ndimage import minimum_filter

from contrastive_age.drawn.face import draw_face
from contrastive_age.faces import detection
from contrastive_age.faces.detection import (
    AS_IT_IS,
    BATCH_SIZE,
    COARSE_FACE,
    FINE,
    FINE_RECOUNTS,
    FIRST,
    LAST,
    RECOUNTS,
    RIVAL,
    SURE,
    TINIEST,
    Canvases,
    Faces,
    Finder,
    Pass,
    Thresholds,
    choose_face,
    least_face,
)
from contrastive_age.faces.mtcnn import load_mtcnn
from faces.scenes import Boxes, Call, draw, face

TURNS = range(4)


class TestChooseFace:
    def test_of_one(self) -> None:
        assert choose_face(np.array([face(0, 0, 5, 5)]), (100, 100)) == 0

    def test_the_larger_of_equally_central(self) -> None:
        faces = np.array([face(40, 40, 60, 60), face(35, 35, 65, 65)])
        assert choose_face(faces, (100, 100)) == 1

    def test_the_more_central_of_equally_large(self) -> None:
        faces = np.array([face(0, 0, 20, 20), face(60, 40, 80, 60)])
        assert choose_face(faces, (100, 100)) == 1

    def test_a_large_face_beats_a_tiny_central_one(self) -> None:
        faces = np.array([face(48, 48, 52, 52), face(5, 20, 55, 80)])
        assert choose_face(faces, (100, 100)) == 1

    def test_a_sure_face_beats_a_doubtful_box(self) -> None:
        faces = np.array([face(40, 40, 60, 60, 0.6), face(40, 41, 60, 59, 1.0)])
        assert choose_face(faces, (100, 100)) == 1

    def test_against_the_formula(self) -> None:
        generator = np.random.default_rng(0)
        for _ in range(20):
            corners = generator.uniform(0, 60, (6, 2))
            sizes = generator.uniform(5, 60, (6, 2))
            scores = generator.uniform(0.6, 1, 6)
            faces = np.column_stack([corners, corners + sizes, scores, np.zeros((6, 10))])
            weights = []
            for (left, top), (width, height), score in zip(corners, sizes, scores, strict=True):
                off = math.hypot(left + width / 2 - 80, top + height / 2 - 50)
                weights.append(width * height * max(0, 1 - off / math.hypot(80, 50)) * score)
            assert choose_face(faces, (160, 100)) == weights.index(max(weights))


def test_the_least_face() -> None:
    assert least_face((100, 90)) == 24
    assert least_face((1440, 20)) == 24
    assert least_face((1000, 6000)) == 100
    assert least_face((1000, 6000), 31) == 31
    assert least_face((10, 10), 5) == 5


class Everywhere:
    """Sees a face in each of some places of a canvas, and remembers the colours there.

    Attributes:
        colours: Of the places, int (k, 5, 3): a box is where the first one is.
    """

    colours: npt.NDArray[np.int64]

    def __call__(self, canvases: Canvases, min_face: float, thresholds: Thresholds) -> list[Faces]:
        [canvas] = canvases
        # Behind the photo is black; its own edges mix with it where it is scaled.
        inner = np.argwhere(minimum_filter(canvas[:, :, 2], 5) == 255)
        places = np.random.default_rng(0).choice(inner, (3000, 5))
        self.colours = canvas[places[:, :, 0], places[:, :, 1]].astype(int)
        points = places[:, :, ::-1].astype(float)
        corners = np.concatenate([points[:, 0], points[:, 0] + 1], axis=1)
        score = np.ones((len(points), 1))
        return [np.concatenate([corners, score, points.reshape(-1, 10)], axis=1)]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    ("side", "size"),
    [
        (None, (70, 50)),
        (None, (250, 301)),
        (240, (251, 90)),
        (240, (200, 640)),
        (240, (1000, 43)),
        (480, (200, 160)),
    ],
)
def test_what_is_seen_on_a_canvas_lies_at_its_place_in_the_photo(
    side: int | None, size: tuple[int, int], turn: int, mirrored: bool
) -> None:
    """A pixel's colour says where it is in the photo: red how far right, green how far down."""
    width, height = size
    steps = np.array([250 / (width - 1), 250 / (height - 1)])
    photo = np.full((height, width, 3), 255, np.uint8)
    photo[:, :, 0] = np.round(np.arange(width) * steps[0])
    photo[:, :, 1] = np.round(np.arange(height) * steps[1])[:, None]
    fake = Everywhere()
    image = Image.fromarray(photo)
    [seen] = Finder(fake)._look([image], Pass(side, turn=turn, mirrored=mirrored))
    assert seen.size == size
    expected = fake.colours[:, :, :2] / steps
    # Left and right of a person are exchanged in a mirror.
    order = [1, 0, 2, 4, 3] if mirrored else range(5)
    scale = 1 if side is None else side / max(size)
    # Whole pixels: what is narrow may be scaled more or less than its length.
    pixel = np.divide(size, np.round(np.multiply(size, scale)))
    # A colour is a whole number; on the mean over many places that makes no difference.
    errors = seen.landmarks - expected[:, order]
    assert np.abs(errors).max() < 2 / steps.min() + 1
    assert np.abs(errors.mean(axis=(0, 1))).max() < 0.1
    centres = (seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2 - 0.5
    assert np.abs((centres - expected[:, 0]).mean(axis=0)).max() < 0.1
    extents = seen.boxes[:, 2:] - seen.boxes[:, :2]
    np.testing.assert_allclose(extents, np.broadcast_to(pixel, extents.shape))


Score = Callable[[int, tuple[int, int], Thresholds], float]
"""From the quarter turns by which a face leans on a canvas, its size and the thresholds."""


class Compass:
    """Sees one face, which may lean: its eyes are a red and a green spot, its mouth a blue one.

    Attributes:
        calls: What it was asked.
    """

    def __init__(self, score: Score) -> None:
        self._score = score
        self.calls: list[Call] = []

    def __call__(self, canvases: Canvases, min_face: float, thresholds: Thresholds) -> list[Faces]:
        number, height, width, _ = canvases.shape
        self.calls.append(Call(number, (width, height), min_face, thresholds))
        return [self._seen(canvas, thresholds) for canvas in canvases]

    def _seen(self, canvas: npt.NDArray[np.uint8], thresholds: Thresholds) -> Faces:
        if not canvas.any():
            return np.empty((0, 15))
        left, right, mouth = spots(canvas)
        across, down = right - left, mouth - (left + right) / 2
        lean = round(math.atan2(-down[0], down[1]) / (math.pi / 2)) % 4
        height, width, _ = canvas.shape
        score = self._score(lean, (width, height), thresholds)
        if not score:
            return np.empty((0, 15))
        if np.linalg.det([across, down]) < 0:  # in a mirror
            left, right, across = right, left, -across
        points = [left, right, (left + right + mouth) / 3, mouth - across / 3, mouth + across / 3]
        corners = [np.min(points, axis=0) - 5, np.max(points, axis=0) + 5]
        return np.concatenate([*corners, [score], *points])[None]


def spots(canvas: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float64]]:
    """The centres of what is red, green and blue."""
    return [np.argwhere(canvas[:, :, place] > 127).mean(axis=0)[::-1] for place in range(3)]


def leaning(turn: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """A photo of a face that so many quarter turns, counter-clockwise, make upright."""
    photo = np.zeros((size[1], size[0], 3), np.uint8)
    for place, (x, y) in enumerate(((100, 61), (140, 61), (120, 101))):
        photo[y - 4 : y + 5, x - 4 : x + 5, place] = 255
    return Image.fromarray(np.rot90(photo, -turn))


def kind(size: tuple[int, int]) -> int | None:
    """The side of a canvas; None for the photo itself."""
    return size[0] if size[0] == size[1] else None


def log_odds(score: float) -> float:
    return math.log(score / (1 - score)) if score else 0.0


class TestMainFaces:
    @pytest.mark.parametrize("turn", TURNS)
    def test_a_turned_face_is_found_in_its_place(self, turn: int) -> None:
        fake = Compass(lambda lean, *_: 0.9 if lean else 0.999)
        [seen] = Finder(fake).main_faces([photo := leaning(turn)])
        assert seen.look == Pass(240, turn=turn)
        assert seen.status == ("retried" if turn else "detected")
        [points] = seen.landmarks
        left, right, mouth = spots(np.asarray(photo))
        np.testing.assert_allclose(points[:2], [left, right], atol=1e-9)
        np.testing.assert_allclose(points[3:].mean(axis=0), mouth, atol=1e-9)
        assert (sum(call.number for call in fake.calls) > 1) == (turn > 0)

    @pytest.mark.parametrize(("score", "looks"), [(SURE + 1e-6, 1), (SURE, 4), (0.8, 4)])
    def test_an_unsure_upright_face_is_looked_at_in_turns(self, score: float, looks: int) -> None:
        fake = Compass(lambda lean, *_: 0 if lean else score)
        [seen] = Finder(fake).main_faces([leaning(0)])
        assert (seen.look, seen.scores.tolist()) == (FIRST, [score])
        assert sum(call.number for call in fake.calls) == looks
        glances = {(120, 120)} if looks > 1 else set()
        assert {call.size for call in fake.calls} == {(240, 240)} | glances

    @pytest.mark.parametrize(
        ("eyes", "mouth", "looks"),
        [(-44, -44, 1), (44, 44, 1), (-46, -46, 4), (46, 46, 4), (0, 50, 4), (-50, 0, 4)],
    )
    def test_a_sure_face_that_leans_too_far_is_looked_at_in_turns(
        self, eyes: int, mouth: int, looks: int
    ) -> None:
        """By the line between its eyes, or by that from the eyes to the mouth."""
        across, down = (np.exp(1j * np.radians(own)) for own in (eyes, mouth))
        points = (
            110
            + 90j
            + np.array([-20 * across, 20 * across, 20j * down, 40j * down - 12, 40j * down + 12])
        )
        row = np.array(face(80, 80, 140, 140))
        row[5::2], row[6::2] = points.real, points.imag
        seen = 0

        def fake(canvases: Canvases, *_: object) -> list[Faces]:
            nonlocal seen
            seen += len(canvases)
            return [row[None] if seen == 1 else np.empty((0, 15)) for _ in canvases]

        [found] = Finder(fake).main_faces([draw("empty")])
        assert (found.look, seen) == (FIRST, looks)

    @pytest.mark.parametrize("turn", TURNS)
    def test_a_face_too_small_for_the_first_look_is_seen_by_a_fine_one(self, turn: int) -> None:
        def score(lean: int, size: tuple[int, int], _: Thresholds) -> float:
            return 0 if kind(size) else 0.5 if lean else 0.999

        fake = Compass(score)
        [seen] = Finder(fake).main_faces([photo := leaning(turn)])
        assert (seen.look, seen.status) == (Pass(None, turn=turn), "retried")
        np.testing.assert_allclose(seen.landmarks[0, :2], spots(np.asarray(photo))[:2], atol=1e-9)
        turns = [photo.size[::-1], photo.size, photo.size[::-1]] if turn else []
        looks = [(240, 240), photo.size, *turns]
        assert [call.size for call in fake.calls][: len(looks)] == looks

    def test_a_photo_of_nothing_gets_all_looks(self) -> None:
        fake = Compass(lambda *_: 0)
        [seen] = Finder(fake).main_faces([leaning(0)])
        assert seen.status == "missed"
        assert (seen.size, seen.faces.shape) == ((240, 180), (0, 15))
        wide, tall = (240, 180), (180, 240)
        expected = [
            *[((240, 240), COARSE_FACE, FIRST), (wide, 24, FINE), (tall, 24, FINE)],
            *[(wide, 24, FINE), (tall, 24, FINE)],
            *[((240, 240), COARSE_FACE, LAST[0]), ((480, 480), COARSE_FACE, LAST[1])],
        ]
        assert fake.calls == [(1, size, least, look.thresholds) for size, least, look in expected]
        for look in LAST:
            assert all(np.less(look.thresholds, FIRST.thresholds))

    @pytest.mark.parametrize("last", LAST)
    def test_a_doubtful_face_is_seen_at_last(self, last: Pass) -> None:
        def score(_: int, size: tuple[int, int], thresholds: Thresholds) -> float:
            return 0.65 if (kind(size), thresholds) == (last.side, last.thresholds) else 0

        [seen] = Finder(Compass(score)).main_faces([photo := leaning(0)])
        assert (seen.look, seen.status, seen.scores.tolist()) == (last, "retried", [0.65])
        left, right, _ = spots(np.asarray(photo))
        np.testing.assert_allclose(seen.landmarks[0, :2], [left, right], atol=1)

    def test_batches_are_small_and_only_what_is_missing_is_looked_at_again(self) -> None:
        fake = Boxes()
        kinds = ["face"] * BATCH_SIZE + ["empty", "face", "dim"]
        found = Finder(fake).main_faces([draw(own) for own in kinds])
        assert [own.status for own in found] == (
            ["detected"] * BATCH_SIZE + ["missed", "detected", "retried"]
        )
        firsts = [call.number for call in fake.calls if call.size == (240, 240)]
        assert firsts == [BATCH_SIZE, 3, 2]
        # Fine looks at photos of any size share no call.
        assert [call.number for call in fake.calls if kind(call.size) is None] == [1] * 8
        assert [call.number for call in fake.calls if call.size == (480, 480)] == [1]

    def test_photos_do_not_depend_on_each_other(self) -> None:
        photos = [leaning(turn) for turn in (0, 3, 1)] + [draw("empty"), leaning(2)]
        finder = Finder(Compass(lambda lean, *_: 0.9 if lean else 0.999))
        together = finder.main_faces(photos)
        assert [own.look.turn for own in together[:3]] == [0, 3, 1]
        for photo, own in zip(photos, together, strict=True):
            [alone] = finder.main_faces([photo])
            assert own.look == alone.look
            np.testing.assert_array_equal(own.faces, alone.faces)

    def test_of_none(self) -> None:
        assert Finder(Boxes()).main_faces([]) == []

    @pytest.mark.parametrize(("again", "turn"), [((0.99, 0.6), 0), ((0.6, 0.99), 2)])
    def test_a_photo_is_turned_over_only_after_a_recount(
        self, again: tuple[float, float], turn: int
    ) -> None:
        """However much surer the face is that is seen in a turn."""
        recounts = [score for score in again for _ in RECOUNTS]
        # Of turns in which a glance sees nothing, there is no look.
        script = iter([0.6, 0, 0.9, 0.9999, 0, *recounts])

        def fake(canvases: Canvases, *_: object) -> list[Faces]:
            score = next(script)
            return [np.array([face(80, 80, 140, 140, score)] if score else np.empty((0, 15)))]

        [seen] = Finder(fake).main_faces([leaning(0)])
        means = [
            (log_odds(first) + len(RECOUNTS) * log_odds(own)) / (1 + len(RECOUNTS))
            for first, own in zip((0.6, 0.9999), again, strict=True)
        ]
        assert seen.look == Pass(240, turn=0 if means[0] + AS_IT_IS > means[1] else 2)
        assert seen.look.turn == turn
        assert next(script, None) is None

    @pytest.mark.parametrize(("apart", "recounts"), [(RIVAL - 0.01, 2), (RIVAL + 0.01, 0)])
    def test_a_turn_that_is_far_less_sure_is_no_rival(self, apart: float, recounts: int) -> None:
        """Faces are seen in the first and in the second turn, and none in the photo as it is."""
        scores = [1 / (1 + math.exp(-own)) for own in (5.0 - apart, 5.0)]
        script = itertools.chain([0, 0, *scores, 0], itertools.repeat(0.9))
        asked: list[tuple[int, ...]] = []

        def fake(canvases: Canvases, *_: object) -> list[Faces]:
            asked.append(canvases.shape[1:3])
            score = next(script)
            return [np.array([face(80, 80, 140, 140, score)] if score else np.empty((0, 15)))]

        [seen] = Finder(fake).main_faces([leaning(0)])
        assert seen.look == Pass(None, turn=2)
        assert len(asked) == 5 + recounts * len(FINE_RECOUNTS)

    def test_a_face_that_leans_in_a_turn_is_no_rival(self) -> None:
        """It leans by a quarter in two turns, and hangs upside down in one, ever so surely."""
        fake = Compass(lambda lean, *_: 0.99999 if lean else 0.95)
        [seen] = Finder(fake).main_faces([leaning(0)])
        assert (seen.look.turn, seen.scores.tolist()) == (0, [0.95])
        assert [call.size[0] for call in fake.calls] == [240] + [120, 240] * 3

    @pytest.mark.parametrize("seed", range(12))
    def test_of_rivals_the_higher_mean_of_log_odds_wins(self, seed: int) -> None:
        """Of the face as the photo has it, leaning, and of the upright one in the first turn."""
        generator = np.random.default_rng(seed)
        first = [0.95, 0.96, 0, 0]
        again = generator.choice([0, *generator.uniform(0.3, 0.999, 6)], (2, len(RECOUNTS)))
        glances = [0.9, 0, 0]
        script = iter([first[0], glances[0], first[1], *glances[1:], *again.ravel().tolist()])
        fake = Compass(lambda *_: next(script))
        [seen] = Finder(fake).main_faces([leaning(1)])
        means = [
            np.mean([log_odds(own) for own in (first[turn], *again[turn].tolist())])
            for turn in range(2)
        ]
        assert seen.look == Pass(240, turn=int(means[1] > means[0] + AS_IT_IS))
        assert seen.scores.tolist() == [first[seen.look.turn]]
        sides = [kind(call.size) for call in fake.calls]
        assert sides == [240, 120, 240, 120, 120] + [look.side for look in RECOUNTS] * 2
        assert next(script, None) is None


class Fixed:
    """Sees certain faces on canvases of fixed side, and others on photos as they are.

    Attributes:
        calls: What it was asked.
    """

    def __init__(self, coarse: Sequence[Sequence[float]], fine: Sequence[Sequence[float]]) -> None:
        self._rows = [np.reshape(np.array(own, float), (-1, 15)) for own in (fine, coarse)]
        self.calls: list[Call] = []

    def __call__(self, canvases: Canvases, min_face: float, thresholds: Thresholds) -> list[Faces]:
        number, height, width, _ = canvases.shape
        self.calls.append(Call(number, (width, height), min_face, thresholds))
        return [self._rows[height == width].copy() for _ in canvases]


class TestAllFaces:
    photo = Image.new("RGB", (240, 160))
    main = face(100, 50, 160, 120, 0.999)

    def test_the_main_face_is_kept_and_small_ones_are_added(self) -> None:
        beside = face(10, 10, 40, 45, 0.9)
        fine = [face(20, 100, 44, 130, 0.99), face(103, 52, 161, 123, 1.0), face(200, 9, 226, 40)]
        fake = Fixed([beside, self.main], fine)
        [seen] = Finder(fake).all_faces([self.photo])
        assert seen.faces.tolist() == [self.main, fine[0], fine[2], beside]
        assert seen.faces[seen.main].tolist() == self.main
        [alone] = Finder(fake).main_faces([self.photo])
        np.testing.assert_array_equal(alone.faces[alone.main], seen.faces[0])

    @pytest.mark.parametrize("factor", [2, 4, 8])
    def test_faces_of_a_reduced_photo_are_in_pixels_of_the_whole_one(self, factor: int) -> None:
        whole = Image.new("RGB", (2400, 1600))
        reduced = whole.copy()
        reduced.info |= {"reduction": factor, "full_size": (2400 * factor, 1600 * factor)}
        seen, same = (
            Finder(Fixed([self.main], [])).main_faces([photo])[0] for photo in (reduced, whole)
        )
        assert seen.size == (2400 * factor, 1600 * factor)
        np.testing.assert_allclose(seen.boxes, same.boxes * factor)
        np.testing.assert_allclose(seen.landmarks + 0.5, (same.landmarks + 0.5) * factor)

    def test_the_least_face_of_a_reduced_photo_is_asked_for_in_its_own_pixels(self) -> None:
        reduced = Image.new("RGB", (1200, 800))
        reduced.info |= {"reduction": 4, "full_size": (4800, 3200)}
        for asked, least in ((None, 20), (96, 24), (24, TINIEST)):
            fake = Fixed([self.main], [])
            Finder(fake, asked).all_faces([reduced])
            assert fake.calls[-1] == Call(1, (1200, 800), least, FIRST.thresholds)

    def test_of_boxes_over_one_another_the_first_stays(self) -> None:
        inside, half = face(110, 60, 130, 80), face(140, 50, 180, 120, 0.8)
        more, behind = face(129, 50, 189, 120, 0.8), face(165, 50, 205, 120, 0.8)
        for others, left in (
            ([inside], []), ([half], [half]), ([more], []), ([more, behind], [behind]),
            ([half, more], [half]), ([half, behind], [half, behind]),
        ):  # fmt: skip
            [seen] = Finder(Fixed([self.main], others)).all_faces([self.photo])
            assert seen.faces.tolist() == [self.main, *left]

    def test_a_photo_without_a_face_is_not_looked_at_again(self) -> None:
        fake = Fixed([], [])
        [seen] = Finder(fake).all_faces([self.photo])
        looks = len(fake.calls)
        assert seen.status == "missed"
        Finder(fake).main_faces([self.photo])
        assert len(fake.calls) == 2 * looks

    def test_after_a_fine_look_there_is_no_other(self) -> None:
        fake = Fixed([], [self.main, face(9, 9, 40, 40)])
        [seen] = Finder(fake).all_faces([self.photo])
        assert seen.look == FINE
        assert len(seen.faces) == 2
        assert [call.size for call in fake.calls] == [(240, 240), (240, 160)]

    def test_the_fine_look_is_turned_as_the_photo_is(self) -> None:
        fake = Compass(lambda lean, *_: 0.9 if lean else 0.999)
        [seen] = Finder(fake).all_faces([photo := leaning(3)])
        assert seen.look == Pass(240, turn=3)
        assert fake.calls[-1].size == photo.size[::-1]
        assert len(seen.faces) == 1

    @pytest.mark.parametrize(
        ("size", "min_face", "canvas", "least"),
        [
            ((240, 160), None, (240, 160), 24),
            ((240, 160), 96, (120, 80), 48),
            ((240, 160), 10, (240, 160), 10),
            ((2880, 96), None, (2880, 96), 48),
            ((3600, 90), None, (2880, 72), 48),
        ],
    )
    def test_the_photo_is_shrunk_until_the_least_face_is_of_a_certain_size(
        self, size: tuple[int, int], min_face: float | None, canvas: tuple[int, int], least: float
    ) -> None:
        fake = Fixed([self.main], [])
        Finder(fake, min_face).all_faces([Image.new("RGB", size)])
        assert [call.size for call in fake.calls] == [(240, 240), canvas]
        assert [call.min_face for call in fake.calls] == pytest.approx([COARSE_FACE, least])
        assert {call.thresholds for call in fake.calls} == {FIRST.thresholds}


SIDES = (150, 300, 450)
PICTURES = [
    (80 + 560 * (person % 4), 60 + 960 * (person // 4), SIDES[person % 3]) for person in range(12)
]
"""Left, top and side in pixels of twelve people in a crowd."""
NEAR = (2700, 1200, 1100)
"""Of one who is nearer."""


def crowd(places: Sequence[tuple[int, int, int]]) -> Image.Image:
    """A plain photo of 4000x3000 pixels with a drawn person at each place."""
    photo = Image.new("RGB", (4000, 3000), (150, 160, 140))
    for person, (left, top, side) in enumerate(places):
        drawn = draw_face(person, 15 + 4 * person, size=512)
        photo.paste(drawn.resize((side, side)), (left, top))
    return photo


@pytest.mark.parametrize("near", [False, True])
def test_everyone_in_a_crowd_is_found(near: bool) -> None:
    places = [*PICTURES, NEAR] if near else PICTURES
    [seen] = Finder(load_mtcnn()).all_faces([crowd(places)])
    assert seen.look.turn == 0
    assert_one_in_each(seen.boxes, places)


def test_no_drawn_face_is_turned_over() -> None:
    """Most are unsure, and some are seen upside down with a higher score at the first look."""
    faces = [draw_face(person, person % 70, size=400) for person in (3, 13, 16, 40, 88, 90)]
    assert [own.look.turn for own in Finder(load_mtcnn()).main_faces(faces)] == [0] * len(faces)


def test_everyone_in_a_turned_crowd_is_found() -> None:
    places = [*PICTURES, NEAR]
    photo = crowd(places).transpose(Image.Transpose.ROTATE_90)
    [seen] = Finder(load_mtcnn()).all_faces([photo])
    assert seen.look.turn == 3
    # A quarter turn counter-clockwise puts the right edge on top.
    turned = [(top, 4000 - left - side, side) for left, top, side in places]
    assert_one_in_each(seen.boxes, turned)
    eyes, mouth = seen.landmarks[:, :2].mean(axis=1), seen.landmarks[:, 3:].mean(axis=1)
    assert (mouth[:, 0] > eyes[:, 0]).all()


def assert_one_in_each(
    boxes: npt.NDArray[np.float64], places: Sequence[tuple[int, int, int]]
) -> None:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    owners = [
        [
            number
            for number, (left, top, side) in enumerate(places)
            if left < x < left + side and top < y < top + side
        ]
        for x, y in centres.tolist()
    ]
    assert sorted(owners) == [[number] for number in range(len(places))]


@pytest.mark.real_data
def test_turned_photos_are_turned_back(shared_data: Path) -> None:
    paths = sorted((shared_data / "fgnet" / "images").iterdir())[::41][:24]
    photos = [Image.open(path).convert("RGB") for path in paths]
    finder = Finder(load_mtcnn())
    plain = finder._look(photos, FIRST)
    for turn in TURNS:
        turned = [Image.fromarray(np.rot90(np.asarray(photo), -turn)) for photo in photos]
        seen = finder.main_faces(turned)
        assert sum(own.look.turn == turn for own in seen) >= 23
        if turn == 0:
            for own, first in zip(seen, plain, strict=True):
                if len(first.faces):
                    np.testing.assert_array_equal(own.faces, first.faces)


@pytest.mark.real_data
def test_few_upright_photos_are_looked_at_again(shared_data: Path) -> None:
    paths = sorted((shared_data / "fgnet" / "images").iterdir())[::10]
    photos = [Image.open(path).convert("RGB") for path in paths]
    plain = Finder(load_mtcnn())._look(photos, FIRST)
    assert sum(not detection._is_sure(own) for own in plain) <= len(photos) / 5
