"""Shared against explicit batches: anchors that the training loop sees in a second."""

import time
from dataclasses import replace

import torch

from benchmarks import made_up
from benchmarks.loop_on_gpu import CLASSES
from benchmarks.measuring import Comparison, Result, in_turn
from benchmarks.training_loop import GPU_SIZE, Size
from contrastive_age.model.network import AgeNetwork
from contrastive_age.training import loop
from contrastive_age.training.augmentation import frame_size
from contrastive_age.triplets.index import build_index
from contrastive_age.triplets.sampling import Mode

TARGET = 2.5


def run(size: Size | None = None, device: str = "cpu") -> Result:
    """Train an epoch in each mode in turn."""
    size = size or (Size(rounds=4) if device == "cpu" else replace(GPU_SIZE, rounds=4))
    where = torch.device(device)
    side = frame_size(size.image_size)
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (size.rows, 3, side, side), dtype=torch.uint8, generator=noise)
    ages, identities, _ = made_up.labels(size.rows)
    index = build_index(ages, identities)
    networks = {mode: AgeNetwork(CLASSES) for mode in ("shared", "explicit")}

    def anchors_per_second(mode: Mode) -> float:
        started = time.perf_counter()
        loop.train(
            images,
            ages,
            index,
            networks[mode],
            size.recipe(mode, epochs=1),
            device=where,
        )
        return size.rows / (time.perf_counter() - started)

    anchors_per_second("shared")  # the first steps of a process are slow
    shared, explicit = in_turn(
        size.rounds,
        lambda: anchors_per_second("shared"),
        lambda: anchors_per_second("explicit"),
    )
    name = "shared against explicit batches"
    return Result(
        [Comparison(name, shared, explicit, "anchors/s", TARGET, True, device)],
        f"Shared batches on {device}",
        [
            f"Epochs of {size.rows} anchors at {size.image_size} px, {size.batch_size} a step.",
            "`python -m benchmarks.shared_on_fgnet` compares the error of the two modes on FG-NET.",
        ],
    )
