r"""Weights of images by how rare their age is.

Label distribution smoothing (Yang et al., "Delving into Deep Imbalanced Regression", ICML 2021):
ages close by are no strangers to each other, so what counts is how many images an age and its
neighbours have,

    w_i \propto 1 / \sqrt{\sum_{d=-2}^2 k(d) n(y_i + d)},    k(d) \propto \exp(-d^2 / (2 \sigma^2)),

with \sigma = 2 and a mean of 1 over the training part. Beyond the youngest and the oldest class
there is nobody.
"""

import numpy as np
import numpy.typing as npt

REACH = 2
"""Years to each side that the kernel of five reaches."""
SIGMA = 2.0
"""Its spread in years."""


def lds_weights(age_index: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """Weigh each image of a training part.

    Args:
        age_index: Class numbers, (n,), n > 0.
        classes: How many there are.

    Returns:
        (n,), positive, their mean 1.
    """
    years = np.arange(-REACH, REACH + 1)
    kernel = np.exp(-(years**2) / (2 * SIGMA**2))
    counts = np.bincount(age_index, minlength=classes)
    padded = np.convolve(counts, kernel / kernel.sum())
    smoothed = padded[REACH : REACH + len(counts)]
    weights = 1 / np.sqrt(smoothed[age_index])
    return np.asarray(weights / weights.mean(), dtype=np.float32)
