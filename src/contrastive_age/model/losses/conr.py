"""ConR: images that are taken for one age, and are not of one, should be unlike."""

from contrastive_age.model.losses.between import contrast, others, units, years_between
from contrastive_age.model.losses.term import Tensor, Term


def conr_loss(  # noqa: PLR0917  as its equation names them
    features: Tensor, ages: Tensor, expected: Tensor, window: float, temperature: float, e: float
) -> Tensor:
    r"""Give the mean of -\frac{1}{|P_i|} \sum_{p \in P_i} \log (e^{s_{ip}} / S_i).

    Where S_i = \sum_{p \in P_i} e^{s_{ip}} + \sum_{k \in N_i} e^{e |y_i - y_k|} e^{s_{ik}}, s is
    the cosine over t, P_i are all other images whose age is within the window of that of i, and
    N_i those whose age is not, though the predicted one is. Only an image with a negative counts.
    Keramati, Meng and Evans, ConR: Contrastive Regularizer for Deep Imbalanced Regression (ICLR
    2024), without its weights of rare ages.

    The mean is over all images, as in the authors' code. That adds e^0 to the denominator for each
    image that is no positive, which their paper does not, nor is it done here.

    Args:
        features: Of two views of each image, (n, D).
        ages: Class numbers, int64 (n,).
        expected: Class numbers that are predicted, (n,); they pick pairs and have no gradient.
        window: Years that still count as one age; the authors' is 1.
        temperature: t; the authors' is 0.2.
        e: How much farther a negative is pushed for each year between the ages; the authors' is
            0.01.

    Returns:
        A scalar, in nats; an image without a positive or without a negative adds 0.
    """
    directions = units(features)
    similarities = directions @ directions.T / temperature
    years = years_between(ages)
    near = years <= window
    positives = near & others(ages)
    negatives = ~near & ((expected[:, None] - expected).abs() <= window)
    pushed = similarities + e * (years * negatives).to(similarities.dtype)
    losses = contrast(pushed, positives, positives | negatives)
    return (losses * negatives.any(dim=1)).mean()


TERM = Term(
    "conr",
    "ConR",
    "lambda_conr",
    lambda batch: conr_loss(
        batch.features,
        batch.ages,
        batch.expected,
        batch.weights.conr_window,
        batch.weights.conr_temperature,
        batch.weights.conr_e,
    ),
    over="batch",
    options={"conr_window": 1.0, "conr_temperature": 0.2, "conr_e": 0.01},
    views=2,
)
