"""Steps of a training without gaps: on a GPU their kernels are recorded once, and then replayed.

A step of a ResNet-18 is some 500 kernels, most of them shorter than Python takes to launch the
next, so that a fast card waits for more than half of the time. A CUDA graph launches them all at
once. It is a recording of kernels with their addresses: what changes from step to step has to come
in tensors, and what Python decides (which terms have a gradient, which images are supervised) is
decided when it is recorded. So there is a graph for each number of images and anchors that a
training meets more than a few times.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Step = Callable[..., Tensor]

UNRECORDED = 2
"""Steps of one form before it is recorded: a recording costs as much time as a few of them gain,
and kernels that are run for the first time may allocate, which a recording cannot."""

MOST_RECORDED = 64
"""Forms: each keeps inputs of its own, and a training has few that it meets often."""


class _Recording(NamedTuple):
    """A recorded step, and where it reads its inputs and leaves its output."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    output: Tensor


class Steps:
    """A step that is called with tensors of few forms; gives what it gives, with the same bits.

    The first steps of a form run as they are, as those of rare forms always do: they are steps of
    the training like all others, so that nothing of a warm-up has to be undone.
    """

    def __init__(self, step: Step, *, capture: bool) -> None:
        """Prepare to call a step.

        Args:
            step: Reads the tensors given to it and what stays where it is (weights, moments), and
                gives a tensor. It must not look at values of a GPU.
            capture: Whether to record it.
        """
        self._step = step
        self._capture = capture
        self._met: Counter[tuple[torch.Size, ...]] = Counter()
        self._recorded: dict[tuple[torch.Size, ...], _Recording] = {}
        self._pool: Any = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Take a step.

        Args:
            inputs: Tensors of the GPU where steps are recorded.
        """
        if not self._capture:
            return self._step(*inputs)
        form = tuple(tensor.shape for tensor in inputs)
        self._met[form] += 1
        new = form not in self._recorded
        if self._met[form] <= UNRECORDED or (new and len(self._recorded) == MOST_RECORDED):
            # A copy, because kernels may be chosen by how their inputs are aligned.
            return self._step(*(tensor.clone() for tensor in inputs))
        if new:
            self._recorded[form] = self._record(inputs)
        graph, places, output = self._recorded[form]
        for tensor, given in zip(places, inputs, strict=True):
            tensor.copy_(given)
        graph.replay()
        # Recordings share their memory, so the next one may write there.
        return output.clone()

    def _record(self, inputs: Iterable[Tensor]) -> _Recording:
        """Record a step; nothing is computed."""
        places = [tensor.clone() for tensor in inputs]
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile, as those that log do.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = self._step(*places)
        self._pool = graph.pool()
        return _Recording(graph, places, output)


def adam(
    parameters: Iterable[nn.Parameter],
    rate: float,
    weight_decay: float,
    *,
    fused: bool,
    device: torch.device,
) -> torch.optim.Adam:
    """Make an Adam whose steps can be recorded: on a GPU its rate is a tensor there."""
    gpu = device.type == "cuda"
    # Some steps are not recorded, and it would warn at the first of them.
    warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
    return torch.optim.Adam(
        parameters,
        lr=torch.tensor(rate, device=device) if gpu else rate,
        weight_decay=weight_decay,
        fused=fused,
        capturable=gpu,
    )


def load_adam(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Bring an optimiser of `adam` to a state that was saved on a device of any kind.

    Args:
        optimiser: Its moments become those of the state; its rate is for `set_rate` to say.
        state: As it was read on the CPU.
    """
    of_device = ("lr", "capturable", "fused")
    groups = [
        saved | {name: present[name] for name in of_device}
        for saved, present in zip(state["param_groups"], optimiser.param_groups, strict=True)
    ]
    optimiser.load_state_dict({**state, "param_groups": groups})


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set an optimiser's rate, without waiting for a GPU."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
