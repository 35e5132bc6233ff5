"""How a training is computed: precision, memory layout, and where its faces lie.

What is computed is the same; how it is rounded is not, and over a training roundings grow until
they move an error as much as another seed does.
"""

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from contrastive_age.training.recipe import Acceleration, Precision, Residence

COMPILER = "inductor"
# Faces may take this part of the memory; the rest is for the network, its gradients and the step.
PART_FOR_FACES = 0.5

MOST_AT_ONCE = 4
"""Trainings that are worth running side by side on one GPU.

At 224 pixels recorded steps keep a GPU busy for 94% of their time, and eight trainings together are
no faster than the steps of one (docs/performance.md). What the others fill is the time that one
spends outside of its steps: four fill up to three times that of the steps.
"""
CORES_EACH = 2
"""Of the processor, for Python's side of a training on a GPU."""
BYTES_OF_A_PROCESS = 1e9
"""Of a GPU's memory, for libraries, network and moments."""
BYTES_A_PIXEL: dict[Precision, float] = {"bfloat16": 480, "float32": 880}
"""Likewise, for what a step keeps of each image for its backward pass: 12 or 22 MB at 224 pixels,
twice, since recorded steps and others have memory of their own. Eight trainings on shared batches
of 64 in bfloat16 took 20 GB (2.5 GB each, as this gives)."""


@dataclass(frozen=True)
class Plan:
    """An `Acceleration` without `auto`; by default the plain one."""

    precision: Precision = "float32"
    channels_last: bool = False
    fused: bool = False
    compile: bool = False
    capture: bool = False
    residence: Residence = "device"

    @property
    def arithmetic(self) -> dict[str, Any]:
        """What may change the rounding: not where faces lie, nor how kernels are launched."""
        alike = ("residence", "capture")
        return {name: value for name, value in asdict(self).items() if name not in alike}

    def prepared(self, network: nn.Module) -> nn.Module:
        """Lay the network out as planned, in place, and give what to call for a forward pass."""
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        if not self.compile:
            return network
        return cast(nn.Module, torch.compile(network, backend=COMPILER))

    def laid_out(self, images: Tensor) -> Tensor:
        """Lay images (n, 3, s, s) out as planned, in the precision that the network takes."""
        return images.to(
            torch.bfloat16 if self.precision == "bfloat16" else images.dtype,
            memory_format=torch.channels_last if self.channels_last else torch.preserve_format,
        )

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Compute in the planned precision for as long as the block lasts."""
        lower = self.precision == "bfloat16"
        # Every weight is used once a pass; and what a cache held could not be recorded.
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=lower, cache_enabled=False)


def resolve(
    wanted: Acceleration, device: torch.device, image_bytes: int, share: float = 1.0
) -> Plan:
    """Choose for a device what is left to it.

    A GPU computes in bfloat16 where it can, with channels last, a fused Adam and recorded steps,
    and holds the faces if they take at most half of the memory that is free. A CPU has a fused
    Adam, too, and channels last where bfloat16 is asked for. Everything else is plain.

    Args:
        wanted: What is asked for; wins over the choice.
        device: Where to train.
        image_bytes: Size of the fold's training faces as prepared.
        share: The part of the device's memory that this training may count on.
    """
    gpu = device.type == "cuda"

    def choose(value: Any, on_gpu: Any, elsewhere: Any) -> Any:
        if value != "auto":
            return value
        return on_gpu if gpu else elsewhere

    lower = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    fits = not gpu or image_bytes <= PART_FOR_FACES * _memory(device, share)
    precision = choose(wanted.precision, "bfloat16" if lower else "float32", "float32")
    return Plan(
        precision=precision,
        channels_last=choose(wanted.channels_last, True, precision == "bfloat16"),
        fused=choose(wanted.fused, True, device.type == "cpu"),
        compile=wanted.compile,
        capture=gpu and choose(wanted.capture, True, False),
        residence=choose(wanted.residence, "device" if fits else "host", "device"),
    )


def trainings_at_once(
    device: torch.device,
    trainings: int,
    image_bytes: int,
    step_pixels: int,
    precision: Precision = "float32",
) -> int:
    """Choose how many trainings run side by side, each in a process of its own.

    One, but on a GPU: there as many as pay (`MOST_AT_ONCE`), find cores, and have room for their
    faces and steps on it.

    Args:
        device: Which they share.
        trainings: How many there are.
        image_bytes: Size of the faces of one as prepared.
        step_pixels: Pixels of all images of a step.
        precision: Of the network's passes.
    """
    if device.type != "cuda":
        return 1
    from joblib import cpu_count

    beside = BYTES_OF_A_PROCESS + BYTES_A_PIXEL[precision] * step_pixels
    each = max(beside + image_bytes, image_bytes / PART_FOR_FACES)
    fit = int(_memory(device, 1) / each)
    cores = int(cpu_count())
    return max(1, min(MOST_AT_ONCE, trainings, cores // CORES_EACH, fit))


def _memory(device: torch.device, share: float) -> float:
    """Give the bytes to count on: what is free, and no more than the share of all."""
    free, total = torch.cuda.mem_get_info(device)
    return min(free, share * total)


def send(values: Tensor, device: torch.device) -> Tensor:
    """Send a tensor of the host to the device, without waiting until it is there."""
    if device.type != "cuda":
        return values.to(device)
    # Only from pinned memory is the copy asynchronous; torch keeps it until the copy is done.
    pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    return pinned.copy_(values).to(device, non_blocking=True)


def gather(images: Tensor, rows: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """Pick faces that lie on the host, and send them without waiting until they are there.

    Args:
        images: uint8 (n, 3, S, S) on the host.
        rows: Which of them, (m,).
        device: Where they are wanted.
    """
    shape = (len(rows), *images.shape[1:])
    picked = torch.empty(shape, dtype=images.dtype, pin_memory=device.type == "cuda")
    torch.index_select(images, 0, torch.from_numpy(rows), out=picked)
    return picked.to(device, non_blocking=True)
