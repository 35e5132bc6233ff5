"""What makes logits over the age classes of features.

A head maps features (n, D) to logits (n, A), of whose softmax the predicted age is the mean, and to
scores, what the head's own loss needs beside them; None where that is nothing.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad

Scored = tuple[Tensor, Tensor | None]
"""Logits (n, A) and scores."""

LEAST_GAP = 1e-6
"""Between two log-odds, so that no class is impossible: their logits have to be finite."""


class Linear(nn.Linear):
    """One linear layer."""

    def forward(self, features: Tensor) -> Scored:  # type: ignore[override]
        """Give logits."""
        return super().forward(features), None


class Dropout(nn.Module):
    """Batch normalisation, dropout of every second feature on average, and one linear layer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Scored:
        """Give logits."""
        return self.linear(self.dropout(self.norm(features))), None


class Number(nn.Linear):
    """A linear layer to one number of each image, (n,), exact where others are rounded.

    In bfloat16 a number about 40 has steps of a quarter; a sum of products is no product of
    matrices, and is left in float32.
    """

    def __init__(self, features: int, *, bias: bool = True) -> None:
        super().__init__(features, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Give the numbers."""
        numbers = (features * self.weight).sum(dim=1)
        return numbers if self.bias is None else numbers + self.bias


class _Binary(nn.Module, ABC):
    r"""What has a score for each of the A - 1 questions whether an image is older than class k.

    Scores z_k are log-odds of a yes. Put into falling order, z'_0 >= z'_1 >= ..., their
    probabilities are those of passing one class after the other, and

        p_j = \sigma(z'_{j-1}) - \sigma(z'_j)

    is the probability to stop at class j (the first \sigma is 1 at class 0, the second 0 at class
    A - 1). An order does not change a sum, so that the mean of p is \sum_k \sigma(z_k), the number
    of questions that are expected to be answered with yes. Logits are \log p_j.
    """

    @abstractmethod
    def scores(self, features: Tensor) -> Tensor:
        """Give scores, (n, A - 1)."""

    def forward(self, features: Tensor) -> Scored:
        """Give logits and scores, (n, A - 1)."""
        scores = self.scores(features)
        falling = scores.sort(dim=1, descending=True).values
        # \sigma(a) - \sigma(b) is \sigma(a) \sigma(-b) (1 - e^{b - a}).
        gaps = (falling[:, :-1] - falling[:, 1:]).clamp(min=LEAST_GAP)
        passed, stopped = pad(logsigmoid(falling), (1, 0)), pad(logsigmoid(-falling), (0, 1))
        return passed + stopped + pad((-torch.expm1(-gaps)).log(), (1, 1)), scores


class Ordinal(_Binary):
    """OR-CNN's: a linear layer with an output for each question."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes - 1)

    def scores(self, features: Tensor) -> Tensor:
        """Give scores, (n, A - 1)."""
        scores: Tensor = self.linear(features)
        return scores


class Coral(_Binary):
    r"""CORAL's: z_k = w^T f + b_k, one direction of the features and a bias of each question.

    The biases start as the log-odds of equally frequent ages, \log((A - 1 - k) / (k + 1)): of a new
    network all classes are alike. From the authors' 0 they would take as many steps as a bias is
    wide in learning rates, and until then only the first and the last class are probable.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.direction = Number(features, bias=False)
        self.biases = nn.Parameter(torch.empty(classes - 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the biases anew."""
        older = torch.arange(len(self.biases), 0, -1)
        self.biases.data.copy_((older / older.flip(0)).log())

    def scores(self, features: Tensor) -> Tensor:
        """Give scores, (n, A - 1)."""
        along: Tensor = self.direction(features)
        return along[:, None] + self.biases


class Regression(nn.Module):
    r"""One number v of each image, in class numbers; a new network's are about the middle class.

    Logits are -(j - v)^2 / 2, those of a Gaussian of one year about v, whose mean is v. What of it
    lies outside the classes is left out: at the first or the last class the mean is 0.52 years
    further in, a year from there 0.13, two years 0.014; of a v beyond them it ends at them.
    """

    numbers: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.value = Number(features)
        self.middle = (classes - 1) / 2
        self.register_buffer("numbers", torch.arange(classes).float(), persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Give logits, and the number as scores (n, 1)."""
        value = self.value(features)[:, None] + self.middle
        return -(self.numbers - value).square() / 2, value


class Noisy(Regression):
    """Regression with the noise of balanced MSE: the logarithm of its standard deviation.

    It is the same for all images and learned; it starts at the 10 years of the authors' training on
    ages.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__(features, classes)
        self.log_sigma = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the noise anew."""
        self.log_sigma.data.fill_(math.log(10))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Give logits, and number and noise as scores (n, 2)."""
        logits, value = super().forward(features)
        return logits, torch.cat([value, self.log_sigma.expand_as(value)], dim=1)


HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": Linear,
    "dropout": Dropout,
    "ordinal": Ordinal,
    "coral": Coral,
    "regression": Regression,
    "noisy": Noisy,
}
"""Makes a head for D features and A classes, by its name."""


def draw(head: nn.Module) -> None:
    """Draw a head's weights anew as torch does, from torch's random numbers."""
    for module in head.modules():
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
