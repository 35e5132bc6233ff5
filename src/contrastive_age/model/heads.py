"""What makes logits over the age classes of features.

A head maps features (n, D) to logits (n, A), of whose softmax the predicted age is the mean, and to
scores, what the head's own loss needs beside them; None where that is nothing.
"""

from collections.abc import Callable

from torch import Tensor, nn

Scored = tuple[Tensor, Tensor | None]
"""Logits (n, A) and scores."""


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


HEADS: dict[str, Callable[[int, int], nn.Module]] = {"linear": Linear, "dropout": Dropout}
"""Makes a head for D features and A classes, by its name."""


def draw(head: nn.Module) -> None:
    """Draw a head's weights anew as torch does, from torch's random numbers."""
    for module in head.modules():
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
