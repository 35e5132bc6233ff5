"""Supervised contrast: images of one age should be alike, and unlike all others."""

from contrastive_age.model.losses.between import contrast, others, units, years_between
from contrastive_age.model.losses.term import Tensor, Term


def supcon_loss(features: Tensor, ages: Tensor, temperature: float) -> Tensor:
    r"""Give the mean of -\frac{1}{|P_i|} \sum_{p \in P_i} \log (e^{s_{ip}} / \sum_k e^{s_{ik}}).

    Where s is the cosine over \tau, P_i are all other images of the age of i, and k all other
    images. Eq. 2 of Khosla et al., Supervised Contrastive Learning (NeurIPS 2020), as a mean.

    Args:
        features: Of two views of each image, (n, D).
        ages: Class numbers, int64 (n,).
        temperature: tau; the authors' are 0.07 to 0.1.

    Returns:
        A scalar, in nats; an image without another of its age adds 0.
    """
    directions = units(features)
    similarities = directions @ directions.T / temperature
    candidates = others(ages)
    positives = candidates & (years_between(ages) == 0)
    return contrast(similarities, positives, candidates).mean()


TERM = Term(
    "supcon",
    "Supervised contrast",
    "lambda_supcon",
    lambda batch: supcon_loss(batch.features, batch.ages, batch.weights.supcon_temperature),
    over="batch",
    options={"supcon_temperature": 0.1},
    views=2,
)
