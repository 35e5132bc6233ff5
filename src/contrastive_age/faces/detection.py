"""Finding faces and their five points in photos: where to look, and which face is the photo's."""

import cmath
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from contrastive_age.faces.alignment import Points
from contrastive_age.sources.decoding import full_size, reduction

Canvases = npt.NDArray[np.uint8]
Faces = npt.NDArray[np.float64]
Thresholds = tuple[float, float, float]

Detector = Callable[[Canvases, float, Thresholds], list[Faces]]
"""From canvases (n, h, w, 3), the side of the smallest face in their pixels and the thresholds of
MTCNN's three networks to the faces on each; see `mtcnn.MTCNN`.

A face is a row of 15 numbers: left, top, right and bottom of its box, its score, and x and y of the
five points in the order of `alignment.POINTS`, in pixels.
"""

LEAST_FACE, LEAST_SHARE = 24, 60
"""Faces are looked for from so many pixels up, or from this part of the photo's longer side."""
TINIEST = 12
"""Pixels below which none can be asked for: photos would have to be enlarged."""
SmallestFace = Annotated[float, Field(ge=TINIEST)]
"""Pixels from which faces are looked for where a photo shows no large one."""
FINEST = 48
"""Pixels of a face beyond which MTCNN sees no more of it: a photo is shrunk until the smallest face
looked for has as many."""
COARSE_FACE = 20
"""Pixels of the smallest face on a canvas of fixed side, MTCNN's own default."""

BATCH_SIZE = 16
"""Canvases in one call of the detector; on a CPU fewer and more were both slower."""


@dataclass(frozen=True)
class Pass:
    """One way of looking at a photo.

    Attributes:
        side: Of the square canvas in pixels, to which the photo's longer side is scaled; None for a
            fine look at the photo itself, see `FINEST`.
        thresholds: The least score that MTCNN's three networks ask for; the first are its own.
        turn: Quarter turns of the photo, counter-clockwise.
        mirrored: Whether left and right are exchanged after that.
    """

    side: int | None
    thresholds: Thresholds = (0.6, 0.7, 0.8)
    turn: int = 0
    mirrored: bool = False


FIRST = Pass(240)
FINE = Pass(None)
TURNS = (1, 2, 3)
GLANCE = Pass(120)
"""Whether it is worth the while to look at a photo in a turn."""
LAST = (Pass(240, (0.5, 0.5, 0.6)), Pass(480, (0.5, 0.5, 0.6)))
"""Taken in turn where all other looks saw nothing."""

SURE = 0.993
"""Score of an upright face from which a photo is taken to be upright without looking further."""
UPRIGHT = math.pi / 4
"""How far a face may lean, in radians: one that leans further is nearer to another turn."""
RIVAL = 3.0
"""Log-odds within which the faces of different turns are rivals, and are looked at again."""
RECOUNTS = (replace(FIRST, mirrored=True), Pass(180), Pass(180, mirrored=True))
FINE_RECOUNTS = (replace(FINE, mirrored=True),)
"""Further looks at rivals; the turn with the highest mean of log-odds over all looks is right."""
AS_IT_IS = 1.0
"""Log-odds by which a turn has to be better than the photo as it is."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """All faces that one look sees in a photo, k of them.

    Attributes:
        size: Width and height of the upright photo in pixels, as its file holds it.
        look: The look.
        faces: float64 (k, 15), see `Detector`, in pixels of that photo.
    """

    size: tuple[int, int]
    look: Pass
    faces: Faces

    @property
    def status(self) -> str:
        """`detected` at the first look, `retried` at any other, `missed` without a face."""
        if not len(self.faces):
            return "missed"
        return "detected" if self.look == FIRST else "retried"

    @property
    def main(self) -> int:
        """The row of the photo's face, of those seen."""
        return choose_face(self.faces, self.size)

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The detector's confidence in each face, (k,)."""
        return self.faces[:, 4]

    @property
    def boxes(self) -> npt.NDArray[np.float64]:
        """Left, top, right and bottom edge of each face, (k, 4).

        An edge counts from the photo's, as Pillow's boxes do, and may lie beyond it.
        """
        return self.faces[:, :4]

    @property
    def landmarks(self) -> Points:
        """The five points of each face, (k, 5, 2)."""
        return self.faces[:, 5:].reshape(-1, 5, 2)


def least_face(size: tuple[int, int], min_face: float | None = None) -> float:
    """Say from how many pixels up all faces of a photo are looked for.

    Args:
        size: Width and height of the photo in pixels.
        min_face: What was asked for; None: `LEAST_FACE`, or a sixtieth of the photo's longer side
            where that is more.
    """
    return max(LEAST_FACE, max(size) / LEAST_SHARE) if min_face is None else min_face


@dataclass(frozen=True)
class Finder:
    """Finds faces in photos.

    Attributes:
        detector: What looks at canvases.
        min_face: See `least_face`.
    """

    detector: Detector
    min_face: float | None = None

    def main_faces(self, images: Sequence[Image.Image]) -> list[Sighting]:
        """Find the one face that each photo shows, upright or turned.

        A first look at 240 pixels finds faces from a twelfth of the photo's longer side up; where
        it sees none, a fine one finds smaller ones. Where what they see is not surely an upright
        face, the photo is looked at in quarter turns, too, in the same way. Where all see nothing,
        see `LAST`.

        Args:
            images: Upright RGB photos.

        Returns:
            A sighting each, whose `main` is the face.
        """
        seen = self._look(images, FIRST)
        blank = set(_missed(seen))
        self._look_again(images, seen, _missed(seen), FINE)
        unsure = {row for row, sighting in enumerate(seen) if not _is_sure(sighting)}
        for look, rows in ((FIRST, sorted(unsure - blank)), (FINE, sorted(unsure & blank))):
            doubtful = [images[row] for row in rows]
            turned = [self._look_turned(doubtful, replace(look, turn=turn)) for turn in TURNS]
            for row, *others in zip(rows, *turned, strict=True):
                seen[row] = self._most_upright(images[row], [seen[row], *others])
        for look in LAST:
            self._look_again(images, seen, _missed(seen), look)
        return seen

    def all_faces(self, images: Sequence[Image.Image]) -> list[Sighting]:
        """Find every face of each photo from `least_face` up, and larger ones that it misses.

        The first is the photo's main face, as `main_faces` gives it to the last digit; a fine look
        adds others.

        Args:
            images: Upright RGB photos.

        Returns:
            A sighting each.
        """
        seen = self.main_faces(images)
        for row, sighting in enumerate(seen):
            # Where lower thresholds were needed, the fine look has been taken, and saw nothing.
            if len(sighting.faces) and sighting.look.side is not None and sighting.look not in LAST:
                [fine] = self._look([images[row]], replace(FINE, turn=sighting.look.turn))
                rest = np.delete(sighting.faces, sighting.main, axis=0)
                faces = np.concatenate([sighting.faces[[sighting.main]], fine.faces, rest])
                seen[row] = replace(sighting, faces=_apart(faces))
        return seen

    def _look(self, images: Sequence[Image.Image], look: Pass) -> list[Sighting]:
        size = 1 if look.side is None else BATCH_SIZE
        seen: list[Sighting] = []
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            # Only photos of one size, or canvases of one, share a call.
            least: float = COARSE_FACE
            if look.side is None:
                [photo] = batch
                least = least_face(full_size(photo), self.min_face)
                if (factor := reduction(photo)) > 1:
                    least = max(least / factor, TINIEST)
                scales = [min(1.0, FINEST / least)]
                least *= scales[0]
            else:
                scales = [look.side / max(image.size) for image in batch]
            canvases = np.stack(
                [canvas_of(image, look, scale) for image, scale in zip(batch, scales, strict=True)]
            )
            detected = self.detector(canvases, least, look.thresholds)
            shape = canvases.shape[1:3]
            seen += [
                Sighting(full_size(image), look, _on_photo(faces, look, shape, image, scale))
                for image, scale, faces in zip(batch, scales, detected, strict=True)
            ]
        return seen

    def _look_turned(self, images: Sequence[Image.Image], look: Pass) -> list[Sighting]:
        """Take a look where a glance sees anything, which in upright photos it seldom does."""
        if look.side is None:
            return self._look(images, look)
        seen = self._look(images, replace(GLANCE, turn=look.turn))
        worthwhile = sorted({*range(len(seen))}.difference(_missed(seen)))
        self._look_again(images, seen, worthwhile, look)
        return seen

    def _look_again(
        self, images: Sequence[Image.Image], seen: list[Sighting], rows: list[int], look: Pass
    ) -> None:
        """Put what another look sees in some of the photos in the place of what was seen."""
        again = self._look([images[row] for row in rows], look)
        for row, sighting in zip(rows, again, strict=True):
            seen[row] = sighting

    def _most_upright(self, image: Image.Image, sightings: list[Sighting]) -> Sighting:
        """Choose among what is seen in the four turns of a photo, the first of which is its own."""
        candidates = [
            sighting
            for sighting in sightings
            if len(sighting.faces) and (sighting.look.turn == 0 or _lean(sighting) < UPRIGHT)
        ]
        best = max(map(_log_odds, candidates), default=0.0)
        # What is seen upright has to lose a recount before the photo is turned over.
        rivals = [
            sighting
            for sighting in candidates
            if sighting.look.turn == 0 or _log_odds(sighting) >= best - RIVAL
        ]
        if len(rivals) > 1:
            return max(rivals, key=functools.partial(self._mean_log_odds, image))
        return rivals[0] if rivals else sightings[0]

    def _mean_log_odds(self, image: Image.Image, sighting: Sighting) -> float:
        # Of faces that a fine look found, a coarse one sees nothing.
        looks = RECOUNTS if sighting.look.side is not None else FINE_RECOUNTS
        turn = sighting.look.turn
        again = [self._look([image], replace(look, turn=turn))[0] for look in looks]
        # A face that leans too far is another turn's.
        odds = [_log_odds(seen) if turn == 0 or _lean(seen) < UPRIGHT else 0.0 for seen in again]
        return float(np.mean([_log_odds(sighting), *odds])) + (AS_IT_IS if turn == 0 else 0.0)


def canvas_of(image: Image.Image, look: Pass, scale: float) -> Canvases:
    """Draw a photo as a look sees it: scaled, into the top left of a black square, and turned.

    Args:
        image: The upright RGB photo.
        look: The look.
        scale: Of the photo.

    Returns:
        uint8 (h, w, 3).
    """
    scaled = image.resize(_scaled(image.size, scale), Image.Resampling.BILINEAR, reducing_gap=2.0)
    canvas = np.asarray(scaled)
    if look.side is not None:
        canvas = np.zeros((look.side, look.side, 3), np.uint8)
        canvas[: scaled.height, : scaled.width] = scaled
    canvas = np.rot90(canvas, look.turn)
    return canvas[:, ::-1] if look.mirrored else canvas


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _on_photo(
    faces: Faces, look: Pass, shape: tuple[int, int], image: Image.Image, scale: float
) -> Faces:
    """Carry faces from a canvas of a shape (height, width) back onto the photo, in full size."""
    # Corners count from the canvas's edge, points from the centre of its first pixel.
    places = np.concatenate([faces[:, :4], faces[:, 5:] + 0.5], axis=1).reshape(-1, 7, 2)
    height, width = shape
    if look.mirrored:
        places[:, :, 0] = width - places[:, :, 0]
        places = places[:, [0, 1, 3, 2, 4, 6, 5]]
    for _ in range(look.turn):
        height, width = width, height
        places = np.stack([width - places[:, :, 1], places[:, :, 0]], axis=2)
    places *= np.divide(image.size, _scaled(image.size, scale)) * reduction(image)
    corners = np.concatenate([places[:, :2].min(axis=1), places[:, :2].max(axis=1)], axis=1)
    points = places[:, 2:].reshape(-1, 10) - 0.5
    return np.concatenate([corners, faces[:, 4:5], points], axis=1)


def _missed(seen: list[Sighting]) -> list[int]:
    """The numbers of the photos in which no face was seen."""
    return [row for row, sighting in enumerate(seen) if not len(sighting.faces)]


def _log_odds(seen: Sighting) -> float:
    """How sure the look is of its faces, all together; 0, even odds, where it sees none."""
    return float(np.log(seen.scores / (1 - seen.scores).clip(1e-9)).sum())


def _lean(seen: Sighting) -> float:
    """How far the main face leans in the turned photo, in radians; 0 where there is none."""
    if not len(seen.faces):
        return 0.0
    points = seen.landmarks[seen.main] @ (1, -1j)
    across = points[1] - points[0]
    down = (points[3:].mean() - points[:2].mean()) * 1j
    return max(abs(cmath.phase(way * 1j**seen.look.turn)) for way in (across, down))


def _is_sure(seen: Sighting) -> bool:
    return len(seen.faces) > 0 and seen.scores[seen.main] > SURE and _lean(seen) < UPRIGHT


def _apart(faces: Faces) -> Faces:
    """Leave out each face whose box one before it covers by more than half of the smaller box."""
    import torch

    from contrastive_age.faces.mtcnn import overlap

    corners = torch.from_numpy(faces[:, :4])
    covers = (overlap(corners, corners, of_smaller=True) > 0.5).numpy()
    kept: list[int] = []
    for row in range(len(faces)):
        if not covers[row, kept].any():
            kept.append(row)
    return faces[kept]


def choose_face(faces: Faces, size: tuple[int, int]) -> int:
    """Choose the largest central face.

    The one with the highest `area * (1 - d / r) * confidence`, where d is the distance of the box's
    centre from the photo's centre and r half the photo's diagonal. The confidence keeps a doubtful
    box around hair or clothes from winning against a sure face that is slightly smaller.

    Args:
        faces: float64 (k, 15), k > 0, see `Detector`.
        size: Width and height of the photo in the same pixels.

    Returns:
        The row of the chosen face.
    """
    boxes = faces[:, :4]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    middle = np.array(size) / 2
    distance = np.linalg.norm(centres - middle, axis=1) / np.linalg.norm(middle)
    return int(np.argmax(areas(faces) * (1 - distance).clip(0) * faces[:, 4]))


def areas(faces: Faces) -> npt.NDArray[np.float64]:
    """Give the area of each face's box, (k,), in square pixels."""
    return np.asarray((faces[:, 2:4] - faces[:, :2]).prod(axis=1))
