"""What is kept of a training: the last or the best epoch, its weights or their average."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from contrastive_age.training.averaging import Average
from contrastive_age.training.recipe import VALIDATION, TrainingSettings


class Kept:
    """The weights that a stage of a training ends with.

    Attributes:
        weights: What would be tested if the stage ended now and its last epoch were kept; follows
            the training.
    """

    def __init__(self, network: nn.Module, settings: TrainingSettings) -> None:
        """Begin with a network that is about to be trained.

        Args:
            network: On the device where it is trained.
            settings: What is kept.
        """
        self._network = network
        self._average = Average(network, settings.average) if settings.average else None
        self._of_best = settings.keep == "best"
        self._best: dict[str, Tensor] = {}
        self._error = math.inf
        average = self._average
        self.weights: Mapping[str, Tensor] = average.weights if average else network.state_dict()

    def after_step(self) -> None:
        """Take a step in, without waiting for the device."""
        if self._average:
            self._average.update()

    def after_epoch(self, entry: Mapping[str, float]) -> None:
        """Look at an epoch's entry of the history: of equal ones the first is the best."""
        if self._of_best and entry[VALIDATION] < self._error:
            self._error = entry[VALIDATION]
            self._best = {name: tensor.clone() for name, tensor in self.weights.items()}

    def give(self) -> None:
        """Put what is kept into the network."""
        self._network.load_state_dict(self._best or dict(self.weights))

    def state_dict(self) -> dict[str, Any]:
        """Give all from which it goes on, beside the network's own state."""
        average = self._average.state_dict() if self._average else {}
        return {"average": average, "best": self._best, "error": self._error}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Bring it to a state that was saved on a device of any kind."""
        if self._average:
            self._average.load_state_dict(state["average"])
        self._best, self._error = dict(state["best"]), state["error"]
