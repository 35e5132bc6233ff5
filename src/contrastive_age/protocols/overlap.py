"""Photos that a network was pretrained on, found again among those it is to be tested on.

Two ways in which a photo can be the same: its file has the same bytes, or its aligned face looks
the same, as after another compression, another size or another crop of one photo. For the second,
faces are compared by perceptual hashes: the signs of the 16 x 16 lowest frequencies of a face's
brightness, relative to their median (pHash, by the library ImageHash), 256 bits. Aligned faces are
hashed and not whole photos, so that how a photo was cropped does not matter.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Bytes = npt.NDArray[np.uint8]

HASH_SIDE = 16
HASH_BYTES = HASH_SIDE**2 // 8
DIGEST_BYTES = 32

MOST_BITS = 40
"""Faces whose hashes differ in at most so many of 256 bits are taken for one photo.

Measured on FG-NET: landmarks moved by 2% of the eye distance change 16 bits (median; 99%: 40), by
4% 28 bits (75%: 40), another compression or half the size alone at most 10. Different photos of
FG-NET differ in 48 bits at least, and none of UTKFace comes nearer than 62 to one of FG-NET.
"""

_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """By what n photos are known again.

    Attributes:
        digests: SHA-256 of their files, uint8 (n, 32).
        hashes: Perceptual hashes of their aligned faces, uint8 (n, 32).
    """

    digests: Bytes
    hashes: Bytes

    def __len__(self) -> int:
        """The number of photos."""
        return len(self.digests)


def take_fingerprints(
    digests: pd.Series, faces: Bytes, rows: npt.NDArray[np.int64]
) -> Fingerprints:
    """Name photos by what is in them.

    Args:
        digests: SHA-256 of each photo's file in hexadecimal digits, (n,).
        faces: Aligned faces, uint8 (N, 256, 256, 3); may be mapped, read one by one.
        rows: Which of them are the photos', (n,).
    """
    joined = "".join(digests)
    return Fingerprints(
        np.frombuffer(bytes.fromhex(joined), np.uint8).reshape(-1, DIGEST_BYTES),
        perceptual_hashes(faces, rows),
    )


def perceptual_hashes(faces: Bytes, rows: npt.NDArray[np.int64]) -> Bytes:
    """Hash faces so that those that look alike have hashes that differ in few bits.

    Args:
        faces: Aligned faces, uint8 (N, 256, 256, 3).
        rows: Which of them, (n,).

    Returns:
        uint8 (n, 32): 256 bits each.
    """
    from imagehash import phash
    from PIL import Image

    hashes = np.empty((len(rows), HASH_BYTES), np.uint8)
    for place, row in enumerate(rows):
        bits = phash(Image.fromarray(faces[row]), hash_size=HASH_SIDE).hash
        hashes[place] = np.packbits(bits)
    return hashes


def find_overlap(
    known: Fingerprints, tested: Fingerprints, most_bits: int = MOST_BITS
) -> pd.DataFrame:
    """Find the tested photos that are among the known ones.

    Args:
        known: Of the m photos of a pretraining.
        tested: Of n photos.
        most_bits: Up to how many differing bits two faces are one.

    Returns:
        A row a tested photo that is known, in their order: `tested` and `known` (row numbers),
        `how` (`bytes`, else `look`) and `bits` (how many bits the hashes differ in).
    """
    by_digest = {own.tobytes(): row for row, own in enumerate(known.digests)}
    words = _words(known.hashes)
    found = []
    for start in range(0, len(tested) if len(known) else 0, _CHUNK):
        own = _words(tested.hashes[start : start + _CHUNK])
        bits = _distances(own, words)
        nearest = bits.argmin(axis=1)
        for place, near in enumerate(nearest):
            row = start + place
            same = by_digest.get(tested.digests[row].tobytes())
            if same is not None:
                found.append((row, same, "bytes", int(bits[place, same])))
            elif bits[place, near] <= most_bits:
                found.append((row, int(near), "look", int(bits[place, near])))
    return pd.DataFrame(found, columns=["tested", "known", "how", "bits"])


def _words(hashes: Bytes) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(hashes).view(np.uint64)


def _distances(
    some: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint16]:
    """In how many bits each of some hashes differs from each of others, (n, m)."""
    bits = np.zeros((len(some), len(others)), np.uint16)
    for word in range(some.shape[1]):
        bits += np.bitwise_count(some[:, word, None] ^ others[None, :, word])
    return bits
