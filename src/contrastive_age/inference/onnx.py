"""The final model as an ONNX file, which other languages and runtimes read without torch.

The graph holds all that comes after alignment: downscaling with the pixels of training, centre
crop, normalisation, network, softmax and its mean and spread. The libraries are the extra `onnx`.
"""

import json
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from contrastive_age.drawn.face import draw_face
from contrastive_age.errors import DataError, library
from contrastive_age.evaluation.outputs import predict
from contrastive_age.faces.alignment import five_point_template
from contrastive_age.files import replacing, why_not_writable
from contrastive_age.inference.model_file import AgeModel, ages_of
from contrastive_age.model.network import expected_age
from contrastive_age.training.augmentation import (
    ALIGNED_SIZE,
    centre,
    frame_size,
    prepare,
)

INPUT = "faces"
OUTPUTS = ("age", "std", "probabilities")
OPSET = 18
TOLERANCE = 1e-3
"""Years by which an exported model may differ from torch."""

Faces = npt.NDArray[np.uint8]


class ExportedNetwork(nn.Module):
    """From aligned faces to ages, with everything between in one graph.

    It takes faces, uint8 (n, 256, 256, 3) RGB, and gives the age (n,) and its standard deviation
    (n,) in years and the probabilities of the age classes (n, A), see `model_file.ages_of`.
    """

    def __init__(self, model: AgeModel) -> None:
        super().__init__()
        self.network = model.network()
        self.image_size = model.image_size
        size = frame_size(model.image_size)
        self.downscale = None if size == ALIGNED_SIZE else Downscale(size)
        self.ages = nn.Buffer(model.classes.values)
        self.temperature = model.temperature
        # In the graph one name must not stand for a constant and an output.
        mean, std = (torch.tensor(each)[:, None, None] for each in self.network.normalisation)
        self.middle = nn.Buffer(255 * mean)
        self.spread = nn.Buffer(255 * std)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give age, standard deviation and probabilities."""
        images = faces.permute(0, 3, 1, 2)
        if self.downscale is not None:
            images = self.downscale(images)
        views = (centre(images, self.image_size) - self.middle) / self.spread
        return ages_of(self.network(views).logits, self.ages, self.temperature)


class Downscale(nn.Module):
    r"""The antialiased downscaling of `augmentation.prepare`, to the last bit.

    An image X of bytes becomes \(q(W q(X W^T))\), columns before rows, where W holds torch's filter
    as whole multiples of \(2^{-p}\) and q rounds to bytes. A runtime's own resizing works in real
    numbers and rounds once: every tenth value is another by one, and ages of real faces were off
    by 0.02 years in the median and up to half a year.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        # The filter is linear: what it makes of the unit matrix is its matrix.
        unit = torch.eye(ALIGNED_SIZE, dtype=torch.float64)[None, None]
        filters = interpolate(unit, size=(size, ALIGNED_SIZE), mode="bilinear", antialias=True)[
            0, 0
        ]
        # torch keeps the weights of bytes in 16 bits, with as many binary places as that allows.
        places = math.ceil(math.log2((2**15 - 0.5) / filters.max().item())) - 1
        self.one = 2.0**places
        # Sums go beyond the 24 bits that float32 holds exactly.
        self.filters = nn.Buffer(torch.floor(filters * self.one + 0.5))

    def forward(self, images: Tensor) -> Tensor:
        """Downscale bytes (n, 3, 256, 256) to whole numbers 0..255, float64 (n, 3, S, S)."""
        narrow = self._bytes(images.double() @ self.filters.T)
        return self._bytes(self.filters @ narrow)

    def _bytes(self, sums: Tensor) -> Tensor:
        return torch.floor(sums / self.one + 0.5).clamp(0, 255)


def export_onnx(model: AgeModel, path: Path) -> float:
    """Write a model as ONNX, and compare it with torch on drawn faces.

    The input is `faces`, uint8 (n, 256, 256, 3): aligned faces in RGB, as many as are given. The
    outputs are float32: `age` (n,) and `std` (n,) in years and `probabilities` (n, A). The file's
    metadata are texts: `name` and `card`, and as JSON `ages`, `radii` (`ages`, predicted ages in
    years, and `by_level` the radius at each of them, null where infinite; between two they lie on
    a line, beyond they stay), `temperature` (that `std` and `probabilities` have already),
    `image_size`, `coverage`, `template` (where a face's five landmarks belong, x and y in pixels)
    and `facts`.

    Args:
        model: The model.
        path: The file; its folder is made when missing.

    Returns:
        The largest difference from torch in years.

    Raises:
        DataError: The file cannot be written, the extra `onnx` is not installed, or the ages differ
            by more than `TOLERANCE` from torch's; a file that differs is not left behind.
    """
    # The model itself lies beside it, and its name is soon typed.
    if path.suffix.lower() != ".onnx":
        raise DataError(f"{path}: name a file that ends in .onnx")
    if why := why_not_writable(path):
        raise DataError(f"{path} cannot be written: {why}")
    for name in ("onnx", "onnxscript", "onnxruntime"):
        library(name, "onnx")
    faces = drawn_faces()
    with replacing(path) as beside:
        _write(model, faces, beside)
        difference = largest_difference(model, beside, faces)
        if not difference <= TOLERANCE:
            raise DataError(
                f"ages of the ONNX file differ from torch's by up to {difference:.2g} years, more "
                f"than {TOLERANCE:g}; {path} is not written. Use the versions of torch, onnx and "
                f"onnxruntime in constraints.txt"
            )
    return difference


def largest_difference(model: AgeModel, path: Path, faces: Faces) -> float:
    """Compare the ages that an ONNX file and torch give to faces.

    Args:
        model: What the file was made from.
        path: The ONNX file.
        faces: uint8 (n, 256, 256, 3), n > 0.

    Returns:
        The largest absolute difference in years.
    """
    images = prepare(faces, np.arange(len(faces)), model.image_size)
    logits = predict(model.network(), images, model.image_size).logits
    expected, _ = expected_age(torch.from_numpy(logits), model.classes.values)
    (age,) = open_session(path).run(["age"], {INPUT: faces})
    return float(np.abs(age - expected.numpy()).max())


def open_session(path: Path, threads: int = 0) -> Any:
    """Open an ONNX file with onnxruntime on the CPU.

    Args:
        path: The file.
        threads: Number of threads; onnxruntime's choice where 0.

    Raises:
        DataError: onnxruntime is not installed.
    """
    runtime = library("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def drawn_faces(number: int = 8) -> Faces:
    """Draw faces of as many people and ages, uint8 (number, 256, 256, 3)."""
    ages = np.linspace(0, 80, number).astype(int).tolist()
    drawn = [draw_face(person, age, size=ALIGNED_SIZE) for person, age in enumerate(ages)]
    return np.stack([np.asarray(face) for face in drawn])


def _write(model: AgeModel, faces: Faces, path: Path) -> None:
    onnx = library("onnx", "onnx")
    program = torch.onnx.export(
        ExportedNetwork(model).eval(),
        (torch.from_numpy(faces[:2]),),  # two: of one, the exporter would make a constant
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        opset_version=OPSET,
        dynamic_shapes=({0: torch.export.Dim("n")},),
        dynamo=True,
        verbose=False,
    )
    written = cast(torch.onnx.ONNXProgram, program).model_proto
    # The exporter's notes name this machine's folders.
    graph = written.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
    onnx.helper.set_model_props(written, _metadata(model))
    onnx.checker.check_model(written)
    onnx.save(written, path)


def _metadata(model: AgeModel) -> dict[str, str]:
    template = five_point_template(model.coverage, ALIGNED_SIZE)
    values = {
        "ages": list(range(model.classes.age_min, model.classes.age_max + 1)),
        "radii": model.radii.as_json(),
        "temperature": model.temperature,
        "image_size": model.image_size,
        "coverage": model.coverage,
        "template": template.tolist(),
        "facts": dict(model.facts),
    }
    texts = {name: json.dumps(value, allow_nan=False) for name, value in values.items()}
    return {"name": model.name, "card": model.card} | texts
