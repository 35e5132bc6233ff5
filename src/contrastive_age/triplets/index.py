"""The triplet index of a training part: sorted arrays that hold P(x) and N(x) of every row.

For an anchor x with age y and identity i (Eq. 1 and 5 of the paper)

    P(x) = {x_p | y_p = y and i_p != i},    N(x) = {x_n | y_n != y and i_n != i}.

No set is ever written out. Sorted by age and identity, P(x) is one run of rows with a smaller run
cut out, and N(x) is all rows without one run and without the few runs of an identity. So a set's
size is a subtraction, and its r-th element is found by bisection.
"""

import dataclasses
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.files import replacing

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

_WIDEST = 1_000  # years: more is no age, and blocks are sorted by two-byte layers of age


@dataclass(frozen=True)
class TripletIndex:
    """The sorted arrays over n rows; built by `build_index`.

    Rows of the same batch, identity and age form a block (m of them, numbered by batch, then
    identity, then age). A whole training part is one batch; see `build_index`. A "place" is a
    position in `order`, where the same blocks stand by batch, then age, then identity.

    Attributes:
        ages: (n,) years.
        identities: (n,) identity codes.
        order: (n,) rows by place.
        by_block: (n,) rows by block.
        block: (n,) block of each row.
        rows_before: (m + 1,) number of rows in the blocks before each block; n at the end.
        place: (m,) first place of each block.
        age_place: (m,) first place of the block's age, in its batch.
        batch_place: (m,) first place of the block's batch.
        run: (m,) which run of blocks of the same batch and identity the block is in.
        run_rows: (m,) number of rows in the runs before.
        outside_before: (m,) places before the block's age that the block's run does not hold.
        keys: (m,) int64, increasing; `run * (n + 1)` + places before the block that its run does
            not hold.
        positives: (m,) size of P(x) of the block's rows.
        negatives: (m,) size of N(x) of the block's rows.
        fingerprint: Names what the index was made from.
    """

    ages: Rows
    identities: Rows
    order: Rows
    by_block: Rows
    block: Rows
    rows_before: Rows
    place: Rows
    age_place: Rows
    batch_place: Rows
    run: Rows
    run_rows: Rows
    outside_before: Rows
    keys: Ints
    positives: Rows
    negatives: Rows
    fingerprint: str

    def __len__(self) -> int:
        """Number of rows n."""
        return len(self.ages)

    def positives_count(self) -> Rows:
        """Sizes of P(x), (n,)."""
        return self.positives[self.block]

    def negatives_count(self) -> Rows:
        """Sizes of N(x), (n,)."""
        return self.negatives[self.block]

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of anchors, and of those whose P(x) or N(x) is empty."""
        sizes = np.diff(self.rows_before)
        return {
            "anchors": len(self),
            "without_positive": int(sizes[self.positives == 0].sum()),
            "without_negative": int(sizes[self.negatives == 0].sum()),
        }

    def save(self, path: Path) -> None:
        """Write the arrays and `counts` to an npz file, beside and renamed.

        Args:
            path: The file.
        """
        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        with replacing(path) as beside, beside.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays, **self.counts)

    @classmethod
    def load(cls, path: Path) -> "TripletIndex":
        """Read what `save` wrote.

        Args:
            path: The file.

        Raises:
            DataError: When it is missing or not a triplet index.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in names}
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such triplet index; run the stage `triplets`") from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path}: not a triplet index ({error}); delete it and run the stage `triplets`"
            ) from error
        arrays["fingerprint"] = str(arrays["fingerprint"])
        return cls(**arrays)


def build_index(
    ages: npt.ArrayLike,
    identities: npt.ArrayLike,
    *,
    batch: npt.ArrayLike | None = None,
    fingerprint: str = "",
) -> TripletIndex:
    """Sort the rows of a training part, in O(n log n).

    Args:
        ages: (n,) years, whole numbers.
        identities: (n,) identities, numbers or strings.
        batch: (n,) non-negative batch number of each row. Where given, P(x) and N(x) hold rows of
            x's own batch only.
        fingerprint: Names what the rows were made from; kept in the file.

    Returns:
        The index.

    Raises:
        ValueError: When the arrays differ in length, are empty, or ages are not whole years.
    """
    ages = np.asarray(ages)
    codes, names = pd.factorize(np.asarray(identities))
    batches = np.zeros(1, np.int64) if batch is None else np.asarray(batch, np.int64)
    n = len(ages)
    if n == 0 or len(codes) != n or (batch is not None and len(batches) != n):
        raise ValueError(
            f"the triplet index needs one age and one identity a row, and a row at least; got {n} "
            f"ages and {len(codes)} identities"
        )
    if not np.issubdtype(ages.dtype, np.integer):
        raise ValueError(f"ages must be whole numbers, not {ages.dtype}")
    width = len(names)
    span = int(ages.max()) - int(ages.min()) + 1
    if span > _WIDEST:
        raise ValueError(f"ages go from {ages.min()} to {ages.max()}; they must be years")
    key = (batches * width + codes) * span + (ages - ages.min())
    # int32 from here on wherever it is safe: the peak of memory lies here
    by_block, key = _sort(key)
    start = _run_starts(key)
    key = key[start]
    rows_before = np.append(start, np.int32(n))
    size = np.diff(rows_before)
    block = np.empty(n, np.int32)
    block[by_block] = np.repeat(np.arange(len(start), dtype=np.int32), size)
    batch_place, batch_size = _runs(key // (width * span), start, n)
    run_rows, run_size = _runs(key // span, start, n)
    run = np.cumsum(np.diff(key // span, prepend=key[0] // span) != 0, dtype=np.int32)
    earlier = start - run_rows

    # the same blocks by batch and age, and in their order, which is by identity
    by_age, key = _sort(key // (width * span) * span + key % span)
    sorted_size = size[by_age]
    sorted_place = np.cumsum(sorted_size, dtype=np.int32) - sorted_size
    sorted_age_place, sorted_age_size = _runs(key, sorted_place, n)
    shift = np.repeat(start[by_age] - sorted_place, sorted_size)
    order = by_block[shift + np.arange(n, dtype=np.int32)]
    place, age_place, age_size = (np.empty_like(size) for _ in range(3))
    place[by_age] = sorted_place
    age_place[by_age] = sorted_age_place
    age_size[by_age] = sorted_age_size

    return TripletIndex(
        ages=ages.astype(np.int32),
        identities=codes.astype(np.int32),
        order=order,
        by_block=by_block,
        block=block,
        rows_before=rows_before,
        place=place,
        age_place=age_place,
        batch_place=batch_place,
        run=run,
        run_rows=run_rows,
        outside_before=age_place - earlier,
        keys=run * np.int64(n + 1) + (place - earlier),
        positives=age_size - size,
        negatives=batch_size - age_size - run_size + size,
        fingerprint=fingerprint,
    )


def _sort(key: Ints) -> tuple[Rows, Ints]:
    """Sort stably: the order and the sorted keys.

    Keys and row numbers packed into one integer are sorted as values, several times faster than a
    stable argsort. With k the greatest key, (k + 1) n must stay below 2^63: a training part of
    2 * 10^8 rows of as many identities still fits.
    """
    packed = key * len(key)
    packed += np.arange(len(key))
    packed.sort()
    key, order = np.divmod(packed, len(packed))
    return order.astype(np.int32), key


def _run_starts(values: Ints) -> Rows:
    """Places where sorted values change; the first is 0."""
    changes = np.concatenate(([True], values[1:] != values[:-1]))
    return np.flatnonzero(changes).astype(np.int32)


def _runs(key: Ints, start: Rows, n: int) -> tuple[Rows, Rows]:
    """Give each block the first place and the number of rows of its run of equal keys.

    Args:
        key: (m,) sorted.
        start: (m,) first place of each block.
        n: Number of rows.
    """
    head = _run_starts(key)
    blocks = np.diff(head, append=np.int32(len(key)))
    size = np.diff(start[head], append=np.int32(n))
    return np.repeat(start[head], blocks), np.repeat(size, blocks)
