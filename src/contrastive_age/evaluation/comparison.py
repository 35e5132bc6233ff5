"""Settings compared on the same test images, paired by subject."""

from dataclasses import dataclass

from contrastive_age.evaluation.confidence import LEVEL, Interval, mean_interval
from contrastive_age.evaluation.seeds import Tables, average_over_seeds, in_order_of

_EQUAL_YEARS = 1e-9
"""Means that differ by less are equal: sums over seeds are rounded."""


@dataclass(frozen=True)
class Comparison:
    """One setting against another on the same test images.

    Attributes:
        difference: Pooled MAE in years minus the reference's; negative is better than it.
        interval: Of the difference, over subjects; None for fewer than `FEWEST_SUBJECTS`.
        subjects: Number of subjects.
        improved: Subjects whose own MAE is smaller than with the reference.
        worsened: Subjects whose own MAE is larger. The rest are equal.
        n: Number of images.
    """

    difference: float
    interval: Interval | None
    subjects: int
    improved: int
    worsened: int
    n: int


def compare(predictions: Tables, reference: Tables, level: float = LEVEL) -> Comparison:
    """Compare two settings image by image, paired by subject.

    Of several seeds an image's absolute errors are averaged first; the two sides may have
    different numbers of seeds.

    Args:
        predictions: As for `mae_interval`.
        reference: The same samples, predicted by the other setting.
        level: Confidence of the interval, between 0 and 1.

    Raises:
        DataError: The two sides, or seeds of one, hold other samples, or there are none.
        ValueError: As for `mae_interval`.
    """
    ours, theirs = average_over_seeds(predictions), average_over_seeds(reference)
    theirs = in_order_of(ours, theirs, "the setting and its reference")
    gain = ours["absolute_error"] - theirs["absolute_error"]
    by_subject = gain.groupby(ours["identity"]).mean()
    return Comparison(
        difference=float(gain.mean()),
        interval=mean_interval(ours["identity"], gain, level),
        subjects=len(by_subject),
        improved=int((by_subject < -_EQUAL_YEARS).sum()),
        worsened=int((by_subject > _EQUAL_YEARS).sum()),
        n=len(ours),
    )
