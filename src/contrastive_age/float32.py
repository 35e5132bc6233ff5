"""Float32 as it is written: on a GPU, convolutions would round to TF32's ten bits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Compute convolutions in float32 until the block ends.

    On CUDA the switch is one for all threads, so there they take turns.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    as_it_is = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
    with _ONE_AT_A_TIME, cudnn.flags(**as_it_is, allow_tf32=False):
        yield
