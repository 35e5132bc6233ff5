r"""The exponential average of a network's weights over the steps of a training.

After step t (from 0) the average m of a weight w becomes

    m_t = d_t m_{t-1} + (1 - d_t) w_t,    d_t = \min(d, (1 + t) / (10 + t)),

so that a short training is not ruled by the weights that it starts from (TensorFlow's
`ExponentialMovingAverage` warms up so). The running statistics of batch normalisation are averaged
alike: they belong to the weights of the steps that they were taken at, as the average does.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class Average:
    """The average of all floating tensors of a network's state; its integers are the latest ones.

    All tensors stay where they are, so that an update can be recorded as part of a step.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Begin with the network as it is.

        Args:
            network: On the device where it is trained.
            decay: The largest d of a step, above 0 and below 1.
        """
        live = network.state_dict()
        self.weights = {name: tensor.clone() for name, tensor in live.items()}
        self._live = live
        device = next(iter(live.values())).device
        self._decay = torch.tensor(decay, device=device)
        self._step = torch.zeros((), device=device)

    def update(self) -> None:
        """Take the network's present state in, without waiting for the device."""
        warm_up = (1 + self._step) / (10 + self._step)
        share = 1 - torch.minimum(self._decay, warm_up)
        for name, mean in self.weights.items():
            if mean.is_floating_point():
                mean.lerp_(self._live[name], share)
            else:
                mean.copy_(self._live[name])
        self._step += 1

    def state_dict(self) -> dict[str, Any]:
        """Give all from which it goes on."""
        return {"weights": self.weights, "step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Bring it to a state that was saved on a device of any kind."""
        for name, mean in self.weights.items():
            mean.copy_(state["weights"][name])
        self._step.copy_(state["step"])
