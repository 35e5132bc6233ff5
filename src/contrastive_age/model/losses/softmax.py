"""The softmax loss L_s: cross entropy of the age classes."""

from contrastive_age.model.losses.term import Tensor, Term


def softmax_loss(log_probabilities: Tensor, age_index: Tensor, smoothing: float = 0.0) -> Tensor:
    r"""Give L_s = -\log s_{a,y} of each image.

    With label smoothing (Szegedy et al., 2016) a share of the label is spread over all A classes:
    L_s = -(1 - \epsilon) \log s_{a,y} - \frac{\epsilon}{A} \sum_j \log s_{a,j}.

    Args:
        log_probabilities: Log-softmax vectors, (n, A).
        age_index: Class number of each image's age, int64 (n,).
        smoothing: epsilon.

    Returns:
        (n,), in nats.
    """
    from torch.nn.functional import nll_loss

    sharp = nll_loss(log_probabilities, age_index, reduction="none")
    return sharp.lerp(-log_probabilities.mean(dim=1), smoothing) if smoothing else sharp


TERM = Term(
    "softmax",
    "Softmax",
    "lambda_s",
    lambda batch: softmax_loss(batch.log_probabilities, batch.ages, batch.weights.smoothing),
    options={"smoothing": 0.0},
    default=1.0,
)
