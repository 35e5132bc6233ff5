"""The speed of an exported model beside torch's, from aligned faces to ages, on one thread each.

    OMP_NUM_THREADS=1 python -m benchmarks.onnx_speed

makes networks of random weights (their speed is that of any), exports them, and prints a table in
Markdown. The two are measured in turn, in processor time: on one thread, it is the time that a
machine without other work would take. It needs the extra `onnx`.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks import machine
from benchmarks.measuring import in_turn
from contrastive_age.evaluation.outputs import predict
from contrastive_age.inference.model_file import AgeModel
from contrastive_age.inference.onnx import INPUT, drawn_faces, export_onnx, open_session
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.network import AgeNetwork, expected_age
from contrastive_age.training.augmentation import prepare

SIZES = (64, 224)
BATCHES = (1, 32)


@dataclass(frozen=True)
class Speed:
    """Milliseconds a face of both, in the order they were measured."""

    image_size: int
    batch: int
    torch: Sequence[float]
    onnx: Sequence[float]

    @property
    def row(self) -> str:
        """A line of the table: medians, and the median of torch's time over ONNX's."""
        ratio = statistics.median(a / b for a, b in zip(self.torch, self.onnx, strict=True))
        medians = statistics.median(self.torch), statistics.median(self.onnx)
        times = " | ".join(f"{value:.1f}" for value in medians)
        return f"| {self.image_size} | {self.batch} | {times} | {ratio:.2f} |"


def measure(image_size: int, batches: Sequence[int], rounds: int, seconds: float) -> list[Speed]:
    """Time both on batches of drawn faces.

    Args:
        image_size: Side in pixels of what the network sees.
        batches: Numbers of faces in a call.
        rounds: Measurements of each.
        seconds: Processor time that each measurement takes about.
    """
    model = random_model(image_size)
    network, ages = model.network(), model.classes.values
    speeds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "age_model.onnx"
        export_onnx(model, path)
        session = open_session(path, threads=1)
    for batch in batches:
        faces = drawn_faces(batch)

        def with_torch(faces: np.ndarray = faces) -> object:
            images = prepare(faces, np.arange(len(faces)), image_size)
            logits = predict(network, images, image_size).logits
            return expected_age(torch.from_numpy(logits), ages)

        def with_onnx(faces: np.ndarray = faces) -> object:
            return session.run(None, {INPUT: faces})

        times = in_turn(
            rounds,
            lambda call=with_torch, n=batch: milliseconds(call, seconds) / n,
            lambda call=with_onnx, n=batch: milliseconds(call, seconds) / n,
        )
        speeds.append(Speed(image_size, batch, *times))
    return speeds


def milliseconds(call: Callable[[], object], seconds: float) -> float:
    """Take the processor time of a call, after one that warms it up: the mean of `seconds`."""
    call()
    started, calls = time.process_time(), 0
    while calls == 0 or time.process_time() - started < seconds:
        call()
        calls += 1
    return 1000 * (time.process_time() - started) / calls


def random_model(image_size: int) -> AgeModel:
    """A model of random weights over the ages 0 to 100."""
    classes = AgeClasses(0, 100)
    state = AgeNetwork(classes).state_dict()
    return AgeModel(state, classes, image_size, {"80": 1.0, "95": 2.0}, card="", facts={})


def report(speeds: Sequence[Speed]) -> str:
    """Lay the speeds out as a table, under the machine and its load."""
    load = " and ".join(f"{value:.1f}" for value in os.getloadavg()[:2])
    lines = [
        *(f"- {line}" for line in machine.describe()),
        f"- load {load} (mean of the last 1 and 5 minutes, this measurement included)",
        "",
        "| view (px) | faces a call | torch (ms a face) | onnxruntime (ms a face) | speed-up |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(speed.row for speed in speeds)])


def main() -> None:
    """Measure all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each; medians count")
    parser.add_argument("--seconds", type=float, default=2, help="length of each measurement")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    speeds = [
        speed for size in SIZES for speed in measure(size, BATCHES, chosen.rounds, chosen.seconds)
    ]
    sys.stdout.write(report(speeds) + "\n")


if __name__ == "__main__":
    main()
