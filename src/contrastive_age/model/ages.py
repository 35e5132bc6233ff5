"""The ages that a network tells apart."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from contrastive_age.errors import DataError
from contrastive_age.sources.ages import AGE_MAX, AGE_MIN

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AgeClasses:
    """The ages a network tells apart: every full year from `age_min` to `age_max`, both included.

    They are constants of a protocol, never taken from data, so that no test age leaks into a model.

    Raises:
        DataError: There are fewer than two classes, or ages that nobody has.
    """

    age_min: int
    age_max: int

    def __post_init__(self) -> None:
        """Refuse what is no range of ages."""
        if self.age_max <= self.age_min:
            raise DataError(
                f"ages {self.age_min} to {self.age_max} hold no two classes: the largest age must "
                "be above the smallest; correct age_min and age_max"
            )
        if self.age_min < AGE_MIN or self.age_max > AGE_MAX:
            raise DataError(
                f"ages {self.age_min} to {self.age_max} are not between {AGE_MIN} and {AGE_MAX}; "
                "correct age_min and age_max"
            )

    @property
    def number(self) -> int:
        """The number of classes A."""
        return self.age_max - self.age_min + 1

    @property
    def values(self) -> "Tensor":
        """The age of each class in years, float32 (A,)."""
        import torch

        return torch.arange(self.age_min, self.age_max + 1, dtype=torch.float32)

    def index(self, ages: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Give the class number (0..A-1) of each age.

        Args:
            ages: Ages in years, (n,).

        Returns:
            Class numbers, int64 (n,).

        Raises:
            DataError: An age has no class.
        """
        outside = ages[(ages < self.age_min) | (ages > self.age_max)]
        if len(outside):
            raise DataError(
                f"{len(outside)} of {len(ages)} training ages lie outside the age classes "
                f"{self.age_min}..{self.age_max}, for example {outside[0]}: correct these labels "
                "in the source or widen the classes"
            )
        return ages.astype(np.int64) - self.age_min
