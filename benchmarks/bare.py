"""What a training loop is held against: a ResNet-18 that trains on one tensor of noise.

The plain one is what a first script does: float32, Adam, each kernel launched from Python. The
tuned one is the best that a good engineer would write for a GPU: bfloat16, channels last, fused
Adam, the fastest algorithms whether or not they give the same bits twice, and steps captured in a
CUDA graph. Neither draws, augments, pairs or logs anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torchvision.models import resnet18

WARM_UP = 4


class Bare:
    """A ResNet-18, forward, cross entropy, backward and Adam, on noise."""

    def __init__(
        self, image_size: int, most: int, classes: int, device: torch.device, *, tuned: bool
    ) -> None:
        """Prepare to train.

        Args:
            image_size: Side of the images in pixels.
            most: Images a step at most.
            classes: Of its linear layer.
            device: Where to train.
            tuned: Whether to do it as fast as can be; without a graph where there is no GPU.
        """
        self._images = torch.randn((most, 3, image_size, image_size), device=device)
        self._classes = torch.arange(most, device=device) % classes
        self._network = resnet18(num_classes=classes).to(device).train()
        self._tuned, self._captures = tuned, tuned and device.type == "cuda"
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        if tuned:
            self._network.to(memory_format=torch.channels_last)
            self._images = self._images.contiguous(memory_format=torch.channels_last)
        self._optimiser = torch.optim.Adam(
            self._network.parameters(),
            # On a CPU a fused Adam is the plain one's equal but for its speed, and ours is fused.
            fused=tuned or device.type == "cpu",
            capturable=self._captures,
        )

    def step(self, images: int) -> None:
        """Train one step on so many images."""
        if not self._captures:
            self._train(images)
            return
        if images not in self._graphs:
            self._graphs[images] = self._captured(images)
        self._graphs[images].replay()

    def _train(self, images: int) -> None:
        device = self._images.device
        with free_choice_of_algorithms(fastest=self._tuned):
            self._optimiser.zero_grad()
            with torch.autocast(
                device.type, torch.bfloat16, enabled=self._tuned, cache_enabled=False
            ):
                logits = self._network(self._images[:images])
            loss = nn.functional.cross_entropy(logits.float(), self._classes[:images])
            loss.backward()
            self._optimiser.step()

    def _captured(self, images: int) -> torch.cuda.CUDAGraph:
        """Capture a step, after a few that choose algorithms and allocate."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self._train(images)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._train(images)
        return graph


@contextmanager
def free_choice_of_algorithms(*, fastest: bool = False) -> Iterator[None]:
    """Lift the loop's demand for algorithms that give the same bits twice.

    Args:
        fastest: Whether cuDNN tries which of them is fastest.
    """
    enabled = torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = fastest
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=True)
        torch.backends.cudnn.benchmark = benchmark
