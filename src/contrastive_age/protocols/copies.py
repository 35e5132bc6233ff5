"""Copies: photos that are one photo, by the bytes of their files or by what their faces look like.

Two photos are copies where their files have the same bytes, or where their aligned faces, or one
face and the other's mirror image, have perceptual hashes (`faces.looks`) that differ in few of 256
bits, as after another compression, another size or another crop of one photo.

Few photos are compared each with each. Of many, candidates are found by bit sampling (Indyk and
Motwani, STOC 1998): a table takes k of the 256 bits at random, and only hashes that agree in all of
them are compared. A pair that differs in b bits agrees in a table's bits with probability
`p = C(256 - b, k) / C(256, k)`, and so is compared in at least one of L tables with probability

    recall = 1 - (1 - p)^L

L is chosen so that it is `RECALL` for the pairs at the very limit, b = `most_bits`. Nearer ones are
found more surely: of a million photos and with a limit of 40 bits (k = 27, L = 890), all but 8 of
10^6 pairs at 36 bits are, and all but 1 of 10^11 at 30. What is found is compared in all bits, so
that no pair beyond the limit is taken for a copy. The bits are drawn from a fixed seed: the same
photos give the same pairs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.faces.looks import BITS, BYTES

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

MOST_BITS = 40
"""Faces whose hashes differ in at most so many of 256 bits are taken for one photo.

Measured on FG-NET: landmarks moved by 2% of the eye distance change 16 bits (median; 99%: 40), by
4% 28 bits (75%: 40), another compression or half the size alone at most 10. Different photos of
FG-NET differ in 48 bits at least, and none of UTKFace comes nearer than 62 to one of FG-NET.

Of 11,534 faces of UTKFace, two differ in 116 bits (standard deviation 12). 187 pairs are within 40
bits, 6 of them mirrored, and make groups of at most 3. The 26 pairs from 30 bits on, looked at by
eye, are one photo but for one, at 40. Within 50 bits are 372 pairs, and chain to groups of 16.
"""

RECALL = 0.999
"""Probability with which a pair that differs in as many bits as it may is found by sampling."""

MOST_COMPARED = 2 * 10**9
"""Pairs up to which each is compared with each, some seconds: 30,000 photos with one another."""

MOST_NEIGHBOURS = 128
"""With how many others that agree in a table's bits a photo is compared, those just before it.

So many agree only where hundreds are nearly equal, as frames of one film; neighbours chain them.
Among a million hashes with the correlations of UTKFace's at most 40 agree.
"""

SURPLUS = 6
"""How many bits more than the binary logarithm of their number a table samples of hashes.

Faces have much in common: 27 bits tell a million as well apart as 22 would if they were random.
"""

TABLE_COST = 20
"""How many comparisons of two hashes take as long as one hash in one table."""

BLOCK = 2**17
"""Comparisons made at a time where each is compared with each."""

UPPER = np.uint64(0xFFFFFFFF_00000000)


@dataclass(frozen=True, eq=False)
class Photos:
    """By what n photos are known again.

    Attributes:
        digests: SHA-256 of their files, uint8 (n, 32).
        looks: Hashes of their aligned faces, uint8 (n, 32), see `faces.looks.look_of`.
        mirrored: Hashes of the faces' mirror images, uint8 (n, 32).
        compared: Whether the faces are compared, bool (n,); of the others bytes alone are, such as
            unreadable and flat ones, all of which look the same.
    """

    digests: Bytes
    looks: Bytes
    mirrored: Bytes
    compared: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """The number of photos."""
        return len(self.digests)

    @classmethod
    def of_table(cls, looks: pd.DataFrame) -> "Photos":
        """Read photos from a table.

        Args:
            looks: A row a photo: `sample_id`, and in 64 hexadecimal digits each `digest`, `look`
                and `mirrored`, the last two empty where the face is not compared.

        Raises:
            ValueError: A digest or a hash is something else.
        """
        compared = looks["look"] != ""
        hidden = "00" * BYTES
        return cls(
            digests=_from_hex(looks["digest"]),
            looks=_from_hex(looks["look"].where(compared, hidden)),
            mirrored=_from_hex(looks["mirrored"].where(compared, hidden)),
            compared=compared.to_numpy(bool),
        )

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Photos":
        """Take some photos, by their row numbers or by a mask."""
        return Photos(
            self.digests[rows], self.looks[rows], self.mirrored[rows], self.compared[rows]
        )

    @staticmethod
    def union(parts: Sequence["Photos"]) -> "Photos":
        """Put photos together, each once: those of the same bytes and the same look are one.

        Args:
            parts: At least one.

        Returns:
            The photos in the order in which they first appear.
        """
        every = Photos(
            np.concatenate([part.digests for part in parts]),
            np.concatenate([part.looks for part in parts]),
            np.concatenate([part.mirrored for part in parts]),
            np.concatenate([part.compared for part in parts]),
        )
        named = np.column_stack([every.digests, every.looks, every.compared])
        return every.take(_same(named) == np.arange(len(every)))


def find_known(known: Photos, tested: Photos, most_bits: int = MOST_BITS) -> pd.DataFrame:
    """Find the tested photos that are among the known ones.

    Args:
        known: m photos, as of a pretraining.
        tested: n photos.
        most_bits: Up to how many differing bits two faces are one, as they are or the tested one
            mirrored.

    Returns:
        A row a tested photo that is known, in their order: `tested` and `known` (row numbers),
        `how` (`bytes`, else `look` or `mirror`, whichever is nearer) and `bits` (in how many the
        hashes differ, 0 for the same bytes).
    """
    same = _same(np.concatenate([known.digests, tested.digests]))[len(known) :]
    by_bytes = np.flatnonzero(same < len(known))

    shown, seen = np.flatnonzero(known.compared), np.flatnonzero(tested.compared)
    shown = shown[_same(known.looks[shown]) == np.arange(len(shown))]
    hashes = np.concatenate([known.looks[shown], tested.looks[seen], tested.mirrored[seen]])
    first, second, bits = _near(hashes, len(shown), len(shown), most_bits)
    place = second - len(shown)
    near = pd.DataFrame(
        {
            "tested": np.tile(seen, 2)[place],
            "known": shown[first],
            "how": np.where(place < len(seen), "look", "mirror"),
            "bits": bits,
        }
    )
    equal = pd.DataFrame({"tested": by_bytes, "known": same[by_bytes], "how": "bytes", "bits": 0})
    return _nearest(pd.concat([equal, near]), ["tested"])


def find_copies(photos: Photos, most_bits: int = MOST_BITS) -> pd.DataFrame:
    """Find the pairs of photos that are copies of one another.

    Of photos with the same bytes each is paired with the first. So is each of those with the same
    two hashes, and the first alone is paired with others that look like them: this connects the
    same photos in fewer pairs.

    Args:
        photos: n of them.
        most_bits: Up to how many differing bits two faces are one, as they are or one of them
            mirrored; which one may matter by a few bits, and the fewer count.

    Returns:
        A row a pair, sorted: `first` and `second` (row numbers, the smaller first), `how` (`bytes`,
        else `look` or `mirror`, whichever is nearer) and `bits` (in how many the hashes differ, 0
        for the same bytes).
    """
    seen = np.flatnonzero(photos.compared)
    both = np.column_stack([photos.looks, photos.mirrored])
    alike = seen[_same(both[seen])]
    distinct = seen[alike == seen]
    hashes = np.concatenate([photos.looks[distinct], photos.mirrored[distinct]])
    one, place, bits = _near(hashes, len(distinct), 0, most_bits)
    other = np.tile(np.arange(len(distinct)), 2)[place]
    near = pd.DataFrame(
        {
            "first": distinct[np.minimum(one, other)],
            "second": distinct[np.maximum(one, other)],
            "how": np.where(place < len(distinct), "look", "mirror"),
            "bits": bits,
        }
    )
    # A face may look like its own mirror image.
    near = near[near["first"] != near["second"]]
    by_bytes = _same(photos.digests)
    equal = _linked(np.arange(len(photos)), by_bytes, "bytes")
    pairs = pd.concat([equal, _linked(seen, alike, "look"), near], ignore_index=True)
    same = by_bytes[pairs["first"]] == by_bytes[pairs["second"]]
    pairs.loc[same, ["how", "bits"]] = "bytes", 0
    return _nearest(pairs, ["first", "second"])


def group(pairs: pd.DataFrame, n: int) -> Ints:
    """Put photos that pairs connect into one group, through however many others.

    Args:
        pairs: `first` and `second`, as `find_copies` gives them.
        n: The number of photos.

    Returns:
        int64 (n,): the smallest row number of each photo's group, its own where it has no copy.
    """
    return _connected(pairs["first"].to_numpy(), pairs["second"].to_numpy(), n)


def linked(identity: pd.Series, group: Ints) -> Ints:
    """Number people, with identities that share a photo as one.

    Two names for one photo are most likely two names for one person. Links go through however many
    identities.

    Args:
        identity: Of each image, (n,).
        group: The smallest row of each image's group of copies, as `group` gives it, (n,).

    Returns:
        int64 (n,): the place of each image's identity among the sorted names; of linked identities
        all have the place of the first.
    """
    codes, names = pd.factorize(identity, sort=True)
    # A group is connected where each of its images is linked with the first.
    return _connected(codes, codes[group], len(names))[codes]


def _connected(one: Ints, other: Ints, n: int) -> Ints:
    """Give the smallest number that each of 0..n-1 is connected with, by links of one to other."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(one), bool), (one, other)), shape=(n, n))
    return firsts(connected_components(links, directed=False)[1])


def _from_hex(column: pd.Series) -> Bytes:
    """Read 32 bytes of each row, (n, 32)."""
    if not (column.str.len() == 2 * BYTES).all():
        raise ValueError(f"{column.name} is not {2 * BYTES} hexadecimal digits in every row")
    return np.frombuffer(bytes.fromhex("".join(column)), np.uint8).reshape(-1, BYTES)


def _linked(rows: Ints, firsts: Ints, how: str) -> pd.DataFrame:
    """Pair rows with the first that each is one with."""
    later = firsts < rows
    return pd.DataFrame({"first": firsts[later], "second": rows[later], "how": how, "bits": 0})


def _nearest(pairs: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Keep the nearest of each: the same bytes, then fewest bits, looks before mirror images."""
    nearest_first = pairs.sort_values(["bits", "how", *pairs.columns[:2]])
    return nearest_first.drop_duplicates(key).sort_values(key, ignore_index=True)


def _near(hashes: Bytes, known: int, tested: int, most_bits: int) -> tuple[Ints, Ints, Ints]:
    """Find hashes that differ in few bits.

    Args:
        hashes: uint8 (h, 32): those looked for, and those among which they are.
        known: How many are looked for, from the first on.
        tested: From which on they are looked for; at most `known`.
        most_bits: Up to how many bits may differ.

    Returns:
        Each pair once: rows of a known one and of a tested one after it, and the bits that differ.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)
    count = len(words)
    _, tables = _plan(count, most_bits)
    few = known * (count - tested) <= max(MOST_COMPARED, tables * count * TABLE_COST)
    search = _compare_all if few else _compare_sampled
    first, second = np.divmod(search(words, known, tested, most_bits), max(1, count))
    return first, second, _distances(words[first].T, words[second].T).astype(np.int64)


def _compare_all(words: Words, known: int, tested: int, most_bits: int) -> Ints:
    """Compare each with each, in blocks that a processor's cache holds."""
    count = len(words)
    size = max(1, BLOCK // max(1, count - tested))
    columns = words.T.copy()
    pairs = [np.empty(0, np.int64)]
    for start in range(0, known, size):
        begin = max(tested, start + 1)
        some = columns[:, start : min(start + size, known), None]
        near = np.flatnonzero(_distances(some, columns[:, None, begin:]) <= most_bits)
        first, second = np.divmod(near, max(1, count - begin)) + np.array([[start], [begin]])
        pairs.append((first * count + second)[first < second])
    return np.concatenate(pairs)


def _compare_sampled(words: Words, known: int, tested: int, most_bits: int) -> Ints:
    """Compare those that agree in the sampled bits of some table."""
    sampled, tables = _plan(len(words), most_bits)
    rng = np.random.default_rng(0)
    columns = words.T.copy()
    pairs, fresh = np.empty(0, np.int64), []
    for _ in range(tables):
        for first, second in _agreeing(_keys(columns, sampled, rng), known, tested):
            # `take` is three times as fast as an index.
            some, others = words.take(first, axis=0), words.take(second, axis=0)
            near = _distances(some.T, others.T) <= most_bits
            fresh.append(first[near] * len(words) + second[near])
        # Most pairs are found by many tables; they are sorted out when they have doubled.
        if sum(map(len, fresh)) > len(pairs):
            pairs, fresh = np.unique(np.concatenate([pairs, *fresh])), []
    return np.unique(np.concatenate([pairs, *fresh]))


def _plan(count: int, most_bits: int) -> tuple[int, int]:
    """Say how many bits a table samples, and how many tables there are.

    Args:
        count: How many hashes are in each.
        most_bits: In how many bits a pair differs that is found with probability `RECALL`.
    """
    sampled = math.ceil(math.log2(max(1, count))) + SURPLUS
    # One table is enough for what agrees in all bits; none ever is for what never agrees.
    ways = max(1, math.comb(BITS - most_bits, sampled))
    agreeing = min(RECALL, ways / math.comb(BITS, sampled))
    return sampled, math.ceil(math.log1p(-RECALL) / math.log1p(-agreeing))


def _keys(columns: Words, sampled: int, rng: np.random.Generator) -> Words:
    """Give hashes that agree in some bits, drawn anew, one key; few others have the same."""
    drawn = np.zeros(BITS, bool)
    drawn[rng.choice(BITS, sampled, replace=False)] = True
    masks = np.packbits(drawn).view(np.uint64)
    factors = rng.integers(2**64, size=len(masks), dtype=np.uint64) | np.uint64(1)
    keys = np.zeros(columns.shape[1], np.uint64)
    for column, mask, factor in zip(columns, masks, factors, strict=True):
        keys += (column & mask) * factor
    return keys


def _agreeing(keys: Words, known: int, tested: int) -> Iterator[tuple[Ints, Ints]]:
    """Pair each tested row with the known ones before it that have its key.

    Sorted by key, then by row, those of one key lie side by side, the known ones first. From all
    tested ones at once it is gone back over the known ones before them, a step at a time.
    """
    # The upper half of the key and the row as one number: it sorts faster than an index does.
    ordered = np.sort((keys & UPPER) | np.arange(len(keys), dtype=np.uint64))
    tags, rows = ordered & UPPER, (ordered & ~UPPER).astype(np.int64)
    last_known = np.maximum.accumulate(np.where(rows < known, np.arange(len(rows)), -1))
    second = np.flatnonzero(tags[1:] == tags[:-1]) + 1
    second = second[rows[second] >= tested]
    first = last_known[second - 1]
    for _ in range(MOST_NEIGHBOURS):
        same = (first >= 0) & (tags[first] == tags[second])
        first, second = first[same], second[same]
        if not len(first):
            return
        yield rows[first], rows[second]
        first = first - 1


def _distances(some: Words, others: Words) -> npt.NDArray[np.uint16]:
    """In how many bits hashes differ, each 4 words along the first axis."""
    bits: npt.NDArray[np.uint16] = np.bitwise_count(some[0] ^ others[0]).astype(np.uint16)
    for word, other in zip(some[1:], others[1:], strict=True):
        bits += np.bitwise_count(word ^ other)
    return bits


def _same(rows: Bytes) -> Ints:
    """Give the number of the first row that equals each."""
    return firsts(np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel())


def firsts(labels: npt.NDArray[Any]) -> Ints:
    """Give the place of the first label that equals each."""
    _, first, place = np.unique(labels, return_index=True, return_inverse=True)
    return first[place]
