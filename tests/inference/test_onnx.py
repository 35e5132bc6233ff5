"""The ONNX file gives the ages that torch gives, and tells what they are."""

import dataclasses
import json
import math
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch.nn.functional import interpolate

from contrastive_age.cli import export_onnx as command
from contrastive_age.errors import DataError
from contrastive_age.evaluation.conformal import Radii
from contrastive_age.evaluation.outputs import predict
from contrastive_age.faces.alignment import align, five_point_template, landmark_array, load_image
from contrastive_age.inference import onnx as export
from contrastive_age.inference.estimator import AgeEstimator
from contrastive_age.inference.model_file import AgeModel, save_model
from contrastive_age.model.architecture import Architecture
from contrastive_age.model.network import AgeNetwork, expected_age
from contrastive_age.sources import fgnet
from contrastive_age.sources.reading import inspect_files
from contrastive_age.training.augmentation import frame_size, prepare
from inference.models import untrained_model

Faces = npt.NDArray[np.uint8]


RADII = Radii((10.0, 50.0), {"80": (2.0, 12.0), "95": (math.inf, math.inf)})


def spread_model(image_size: int = 32) -> AgeModel:
    """Random weights whose ages lie years apart, so that wrong pixels would show."""
    model = untrained_model(image_size=image_size)
    state = {
        name: 40 * value if name == "fc.weight" else value for name, value in model.state.items()
    }
    return dataclasses.replace(model, state=state, radii=RADII, temperature=2.5)


def by_torch(model: AgeModel, faces: Faces) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    images = prepare(faces, np.arange(len(faces)), model.image_size)
    logits = torch.from_numpy(predict(model.network(), images, model.image_size).logits)
    age, _ = expected_age(logits, model.classes.values)
    tempered = logits / 2.5
    return age, expected_age(tempered, model.classes.values)[1], tempered.softmax(dim=1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model exported by the command."""
    folder = tmp_path_factory.mktemp("onnx")
    save_model(spread_model(), folder / "age_model.pt")
    path = folder / "new" / "age_model.onnx"
    options = ["--model", str(folder / "age_model.pt"), "--output", str(path)]
    done = CliRunner().invoke(command, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "years of torch" in done.output
    assert [own.name for own in path.parent.iterdir()] == [path.name]
    return path


@pytest.mark.parametrize("number", [1, 2, 3, 9])
def test_any_number_of_faces_gets_the_outputs_of_torch(exported: Path, number: int) -> None:
    faces = export.drawn_faces(number)
    found = export.open_session(exported, threads=1).run(None, {export.INPUT: faces})
    for own, expected in zip(found, by_torch(spread_model(), faces), strict=True):
        assert own.dtype == np.float32
        np.testing.assert_allclose(own, expected.numpy(), rtol=0, atol=export.TOLERANCE)
    if number > 2:
        assert np.ptp(found[0]) > 1  # else anything would be equal


@pytest.mark.parametrize("head", ["dropout", "ordinal", "coral", "regression", "noisy"])
def test_so_do_other_heads(tmp_path: Path, head: str) -> None:
    architecture, model = Architecture(head=head), untrained_model(image_size=32)
    network = AgeNetwork.undrawn(model.classes, architecture)
    network.draw(seed=0)
    state = {name: 20 * x if "fc" in name else x for name, x in network.state_dict().items()}
    own = dataclasses.replace(model, state=state, architecture=architecture)
    assert export.export_onnx(own, tmp_path / "age_model.onnx") < export.TOLERANCE


@pytest.mark.real_data
def test_real_faces_get_the_ages_of_torch(exported: Path, shared_data: Path) -> None:
    folder = shared_data / "fgnet"
    paths = fgnet.list_images(folder)[::50]
    samples = fgnet.read(folder, inspect_files(folder, paths)).samples
    points = landmark_array(fgnet.read_points(folder, samples))
    faces = np.stack(
        [
            align(load_image(folder / path), own)
            for path, own in zip(samples["path"], points, strict=True)
        ]
    )
    assert len(faces) == 21
    assert export.largest_difference(spread_model(), exported, faces) < export.TOLERANCE


def test_the_file_says_what_its_numbers_mean_and_nothing_of_this_machine(exported: Path) -> None:
    model = spread_model()
    session = export.open_session(exported)
    texts = session.get_modelmeta().custom_metadata_map
    assert (texts["name"], texts["card"]) == (model.name, model.card)
    assert json.loads(texts["ages"]) == list(range(70))
    assert json.loads(texts["radii"]) == {
        "ages": [10.0, 50.0],
        "by_level": {"80": [2.0, 12.0], "95": None},
    }
    assert json.loads(texts["image_size"]) == 32
    assert json.loads(texts["temperature"]) == 2.5
    assert json.loads(texts["coverage"]) == model.coverage
    np.testing.assert_allclose(json.loads(texts["template"]), five_point_template(), atol=1e-9)
    assert json.loads(texts["facts"]) == model.facts
    assert [own.name for own in session.get_outputs()] == list(export.OUTPUTS)
    assert str(Path(export.__file__).parent).encode() not in exported.read_bytes()


def test_the_example_of_the_docs_gives_the_interval_of_the_estimator(
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It knows the metadata alone."""
    page = (Path(__file__).parents[2] / "docs" / "predict.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(import json\n.*?)```", page, re.DOTALL)
    pixels = export.drawn_faces(5)[3]
    Image.fromarray(pixels).save(tmp_path / "face.png")
    shutil.copy(exported, tmp_path / "age_model.onnx")
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    [[face]] = [own.faces for own in AgeEstimator(spread_model()).predict([pixels], aligned=True)]
    low, high = face.intervals["80"]
    assert face.age - low not in (2.0, 12.0)  # between the knots
    assert capsys.readouterr().out == (
        f"{face.age:.1f} years; 80% interval: {low:.1f} to {high:.1f}\n"
    )


@pytest.mark.parametrize("image_size", [32, 33, 48, 64, 96, 112, 160, 223])
def test_downscaling_gives_the_bytes_of_torch(image_size: int) -> None:
    size = frame_size(image_size)
    rng = np.random.default_rng(image_size)
    noise = rng.integers(0, 256, (2, 3, 256, 256), np.uint8)
    extremes = 255 * rng.integers(0, 2, (1, 3, 256, 256), np.uint8)
    images = torch.from_numpy(np.concatenate([noise, extremes]))
    expected = interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    assert torch.equal(export.Downscale(size)(images), expected.double())


@pytest.mark.parametrize("image_size", [33, 48, 64, 224])
def test_the_graph_equals_the_pipeline_at_other_sizes(image_size: int) -> None:
    model, faces = spread_model(image_size), export.drawn_faces(2)
    with torch.inference_mode():
        found = export.ExportedNetwork(model)(torch.from_numpy(faces))
    for own, expected in zip(found, by_torch(model, faces), strict=True):
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-4)


def test_another_network_gets_the_outputs_of_torch(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    plain = untrained_model(architecture=Architecture("timm/tf_efficientnet_lite0", "dropout"))
    wide = {"fc.linear.weight": 40 * plain.state["fc.linear.weight"]}
    model = dataclasses.replace(plain, state={**plain.state, **wide}, temperature=2.5)
    export.export_onnx(model, tmp_path / "m.onnx")
    faces = export.drawn_faces(3)
    found = export.open_session(tmp_path / "m.onnx", threads=1).run(None, {export.INPUT: faces})
    for own, expected in zip(found, by_torch(model, faces), strict=True):
        np.testing.assert_allclose(own, expected.numpy(), rtol=0, atol=export.TOLERANCE)
    assert np.ptp(found[0]) > 0.1  # else anything would be equal


@pytest.mark.parametrize("difference", [0.0011, math.nan])
def test_a_file_that_differs_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: float
) -> None:
    monkeypatch.setattr(export, "_write", lambda _, __, path: path.write_bytes(b"wrong"))
    monkeypatch.setattr(export, "largest_difference", lambda *_: difference)
    with pytest.raises(DataError, match=r"differ from torch's .* is not written"):
        export.export_onnx(spread_model(), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "drawn_faces", lambda: pytest.fail("it works already"))
    (tmp_path / "file").touch()
    (tmp_path / "folder.onnx").mkdir()
    for name, words in {
        "folder.onnx": "cannot be written: .*it is a folder",
        "file/m.onnx": "cannot be written: .*is no folder",
        "age_model.pt": "name a file that ends in .onnx",
    }.items():
        with pytest.raises(DataError, match=words):
            export.export_onnx(spread_model(), tmp_path / name)


def test_without_the_extra_its_name_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(DataError, match=r"onnxscript .*pip install 'contrastive-age\[onnx\]'"):
        export.export_onnx(spread_model(), tmp_path / "m.onnx")
