"""By what an aligned face is known again: a perceptual hash of it, and one of its mirror image.

A face is cut out at one fixed coverage, whatever the one is that networks are trained on, so that
which photos are copies of one another does not depend on it. The hash is the signs of the 16 x 16
lowest frequencies of its brightness, relative to their median (pHash, by the library ImageHash).
"""

import numpy as np
import numpy.typing as npt

COVERAGE = 1.35
"""Of the faces that are hashed, see `alignment.five_point_template`. No parameter changes it."""

SIDE = 16
BITS = SIDE**2
BYTES = BITS // 8

FLAT = 4.0
"""Standard deviation of the brightness, of 255, below which a face shows nothing to know it by."""

_SMALL = (4 * SIDE, 4 * SIDE)

Look = npt.NDArray[np.uint8]


def look_of(face: npt.NDArray[np.uint8]) -> Look | None:
    """Hash a face and its mirror image, so that those that look alike differ in few bits.

    Args:
        face: Aligned at `COVERAGE`, uint8 (S, S, 3).

    Returns:
        uint8 (2, 32): 256 bits of the face, and 256 of its mirror image; None for a flat one, such
        as a black square, which would be a copy of every other flat one.
    """
    # It imports SciPy's transforms.
    from imagehash import phash
    from PIL import Image

    # As `phash` does it first; here once for both.
    small = Image.fromarray(face).convert("L").resize(_SMALL, Image.Resampling.LANCZOS)
    if np.asarray(small, np.float64).std() < FLAT:
        return None
    mirrored = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    bits = [phash(image, hash_size=SIDE).hash.ravel() for image in (small, mirrored)]
    return np.packbits(bits, axis=1)
