"""The triplet index of a training part: its rows in an order in which P(x) is nearly one run.

For an anchor x with age y and identity i (Eq. 1 and 5 of the paper)

    P(x) = {x_p | y_p = y and i_p != i},    N(x) = {x_n | y_n != y and i_n != i}.

No set is ever written out. Sorted by age, then identity, P(x) is one run of rows without a smaller
run inside it, and rows of another age are all rows without one run.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from contrastive_age.errors import DataError
from contrastive_age.files import replacing

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

_WIDEST = 1_000  # years: more is no age


@dataclass(frozen=True, eq=False)
class TripletIndex:
    """The sorted rows of a training part, n of them; built by `build_index`.

    A whole training part is one batch; see `build_index`. A "place" is a position in `order`.

    Attributes:
        ages: Years of each row, (n,).
        identities: Identity code of each row, (n,).
        order: Rows by batch, then age, then identity, (n,).
        batch_first: Of each place, the first place of its batch, (n,).
        batch_rows: And how many rows are in it, (n,).
        age_first: The first place of its age in the batch, (n,).
        age_rows: And how many rows, (n,).
        person_first: The first place of its identity in that age, (n,).
        person_rows: And how many rows, (n,).
        positives: Size of P(x) of the row at each place, (n,).
        negatives: Size of N(x), likewise.
        fingerprint: Names what the index was made from.
    """

    ages: Rows
    identities: Rows
    order: Rows
    batch_first: Rows
    batch_rows: Rows
    age_first: Rows
    age_rows: Rows
    person_first: Rows
    person_rows: Rows
    positives: Rows
    negatives: Rows
    fingerprint: str

    def __len__(self) -> int:
        """Number of rows n."""
        return len(self.ages)

    def of_rows(self, kept: npt.NDArray[np.bool_]) -> "TripletIndex":
        """Index some of the rows alone, in their order.

        Args:
            kept: Whether a row stays, (n,).
        """
        if kept.all():
            return self
        return build_index(self.ages[kept], self.identities[kept], fingerprint=self.fingerprint)

    def by_row(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Put values of places, (n,), into the order of the rows."""
        result = np.empty_like(values)
        result[self.order] = values
        return result

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of anchors, and of those whose P(x) or N(x) is empty."""
        return {
            "anchors": len(self),
            "without_positive": int(np.count_nonzero(self.positives == 0)),
            "without_negative": int(np.count_nonzero(self.negatives == 0)),
        }

    def save(self, path: Path) -> None:
        """Write the arrays and `counts` to an npz file, beside and renamed.

        Args:
            path: The file.
        """
        with replacing(path) as beside, beside.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **vars(self), **self.counts)

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
        except Exception as error:  # a damaged archive can fail in any way
            raise DataError(
                f"{path}: not a triplet index ({error}); delete it and run the stage `triplets`"
            ) from error
        return cls(**arrays | {"fingerprint": str(arrays["fingerprint"])})


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
        ValueError: When the arrays differ in length, or ages are not whole years.
    """
    ages = np.asarray(ages)
    codes, names = pd.factorize(np.asarray(identities))
    batches = np.zeros(len(ages), np.int64) if batch is None else np.asarray(batch, np.int64)
    if not len(ages) == len(codes) == len(batches):
        raise ValueError(
            "the triplet index needs one age and one identity a row; got "
            f"{len(ages)} ages and {len(codes)} identities"
        )
    if not np.issubdtype(ages.dtype, np.integer):
        raise ValueError(f"ages must be whole numbers, not {ages.dtype}")
    years, width = ages.astype(np.int64), len(names)
    # Without rows, as where nothing is trained, there is nothing to sort.
    youngest, oldest = (years.min(), years.max()) if len(years) else (0, 0)
    span = int(oldest - youngest) + 1
    if span > _WIDEST:
        raise ValueError(f"ages go from {youngest} to {oldest}; they must be years")
    key = (batches * span + years - youngest) * width + codes
    order = np.argsort(key, kind="stable")
    key = key[order]
    batch_first, batch_rows = _runs(key // (width * span))
    age_first, age_rows = _runs(key // width)
    person_first, person_rows = _runs(key)
    person, _ = pd.factorize(batches * width + codes)
    rows_of_person = np.bincount(person)[person][order].astype(np.int32)
    return TripletIndex(
        ages=ages.astype(np.int32),
        identities=codes.astype(np.int32),
        order=order.astype(np.int32),
        batch_first=batch_first,
        batch_rows=batch_rows,
        age_first=age_first,
        age_rows=age_rows,
        person_first=person_first,
        person_rows=person_rows,
        positives=age_rows - person_rows,
        negatives=batch_rows - age_rows - rows_of_person + person_rows,
        fingerprint=fingerprint,
    )


def _runs(key: Ints) -> tuple[Rows, Rows]:
    """Give each place the first place of its run of equal sorted keys, and the run's rows."""
    first = np.flatnonzero(np.diff(key, prepend=-1)).astype(np.int32)
    rows = np.diff(first, append=np.int32(len(key)))
    return np.repeat(first, rows), np.repeat(rows, rows)
