"""The weights of MTCNN: only the known files are opened, and nothing is imported for them."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import joblib
import numpy as np
import pytest

import contrastive_age
from contrastive_age.errors import DataError
from contrastive_age.faces import weights
from contrastive_age.faces.weights import WEIGHTS, read_weights

SOURCE = Path(contrastive_age.__file__).parents[1]

NUMBERS = {"pnet": 6_632, "rnet": 100_178, "onet": 389_040}
"""Of weights: MTCNN's are small."""


class Elsewhere:
    """Stands for a package that lies in another folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locate_file(self, path: str) -> Path:
        return self.folder / path


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights of a package in which there are none yet."""
    folder = tmp_path / "mtcnn" / "assets" / "weights"
    folder.mkdir(parents=True)
    monkeypatch.setattr(weights, "distribution", lambda _: Elsewhere(tmp_path))
    return folder


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_read(name: str) -> None:
    own = read_weights(name)
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in own)
    assert sum(array.size for array in own) == NUMBERS[name]


def test_a_copy_of_the_file_is_as_good(elsewhere: Path) -> None:
    path = Path(str(distribution("mtcnn").locate_file("mtcnn/assets/weights/pnet.lz4")))
    (elsewhere / "pnet.lz4").write_bytes(path.read_bytes())
    assert sum(array.size for array in read_weights("pnet")) == NUMBERS["pnet"]


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_another_file_is_refused_unopened_and_the_remedy_said(
    elsewhere: Path, tmp_path: Path
) -> None:
    joblib.dump(Trap(tmp_path / "sprung"), elsewhere / "rnet.lz4")
    with pytest.raises(DataError, match=r"rnet\.lz4 .*pip install --force-reinstall .*mtcnn==1"):
        read_weights("rnet")
    assert not (tmp_path / "sprung").exists()


def test_a_missing_file_is_refused(elsewhere: Path) -> None:
    with pytest.raises(DataError, match=r"onet\.lz4 .*pip install --force-reinstall"):
        read_weights("onet")


def test_a_missing_package_is_refused_and_the_remedy_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(weights, "distribution", missing)
    with pytest.raises(DataError, match="not installed: python -m pip install mtcnn"):
        read_weights("pnet")


def test_the_detector_runs_without_the_package_and_tensorflow() -> None:
    script = """
import sys
import numpy as np
from contrastive_age.faces.mtcnn import load_mtcnn
from contrastive_age.drawn.face import draw_face
[faces] = load_mtcnn()(np.asarray(draw_face(0, 30))[None])
print(len(faces), {"mtcnn", "tensorflow", "keras"} & sys.modules.keys())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split(maxsplit=1) == ["1", "set()\n"]
