"""The served model over HTTP: ages of the estimator, a row for every photo, nothing left."""

import base64
import dataclasses
import functools
import io
import json
import math
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow.pyfunc  # else the first call of its lazy loader undoes what a test puts there
import numpy as np
import pandas as pd
import pytest
import requests
from click.testing import CliRunner
from mlflow.exceptions import MlflowException
from PIL import Image

from contrastive_age import serving
from contrastive_age.cli import save_mlflow_model
from contrastive_age.drawn.face import draw_face
from contrastive_age.errors import DataError
from contrastive_age.evaluation.conformal import Radii
from contrastive_age.inference.estimator import AgeEstimator, faces_table
from contrastive_age.inference.model_file import AgeModel, save_model
from contrastive_age.model.architecture import Architecture
from inference.models import untrained_model
from servers import model_server


def spread_model() -> AgeModel:
    """Random weights whose ages lie years apart; its 95% interval has no upper end."""
    model = untrained_model()
    state = {
        name: 40 * value if name == "fc.weight" else value for name, value in model.state.items()
    }
    radii = Radii((10.0, 50.0), {"80": (2.0, 12.0), "95": (math.inf, math.inf)})
    return dataclasses.replace(model, state=state, radii=radii)


def encoded(image: Image.Image, name: str = "PNG") -> str:
    file = io.BytesIO()
    image.save(file, name)
    return base64.b64encode(file.getvalue()).decode("ascii")


FACES = [draw_face(person, 5 + 20 * person, size=256) for person in range(4)]
TEXTS = [encoded(face) for face in FACES]


@dataclass(frozen=True)
class Served:
    """A server, and what it serves."""

    address: str
    folder: Path

    def post(self, body: Any, kind: str = "application/json") -> requests.Response:
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        return requests.post(self.address, data=data, headers={"Content-Type": kind}, timeout=600)

    def faces(self, texts: list[Any], *, aligned: bool = True) -> list[dict[str, Any]]:
        rows = [{"image": text} for text in texts]
        answer = self.post({"dataframe_records": rows, "params": {"aligned": aligned}})
        assert answer.status_code == 200, answer.text
        # `NaN` is no JSON, but Python reads it.
        return json.loads(answer.text, parse_constant=pytest.fail)["predictions"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    save_model(spread_model(), folder / "age_model.pt")
    options = ["--model", str(folder / "age_model.pt"), "--output", str(folder / "deep" / "saved")]
    done = CliRunner().invoke(save_mlflow_model, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "mlflow models serve" in done.output
    with model_server(str(folder / "deep" / "saved"), folder) as address:
        yield Served(address, folder / "deep" / "saved")


@pytest.fixture(scope="module")
def estimated() -> pd.DataFrame:
    return faces_table(AgeEstimator(spread_model()).predict(FACES, aligned=True))


def test_aligned_faces_get_the_ages_of_the_estimator(
    served: Served, estimated: pd.DataFrame
) -> None:
    found = served.faces(TEXTS)
    assert [own["photo"] for own in found] == [0, 1, 2, 3]
    assert [own["face"] for own in found] == [0, 0, 0, 0]
    for name in ("age", "low_80", "high_80", "low_95"):
        assert [own[name] for own in found] == pytest.approx(estimated[name].tolist(), abs=1e-4)
    assert np.ptp(estimated["age"]) > 1  # else anything would be equal
    for name in (
        "high_95",
        "score",
        "left",
        "top",
        "right",
        "bottom",
        "min_face",
        "reason",
        "note",
    ):
        assert [own[name] for own in found] == [None] * 4


def test_data_urls_line_breaks_and_other_layouts_are_understood(
    served: Served, estimated: pd.DataFrame
) -> None:
    text = TEXTS[1]
    broken = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    params = {"params": {"aligned": True}}
    for body in (
        {"dataframe_records": [{"image": f"data:image/png;base64,{text}"}]},
        {"dataframe_split": {"columns": ["image"], "data": [[broken]]}},
        {"instances": [{"image": text}]},
        {"inputs": {"image": [text]}},
    ):
        answer = served.post(body | params)
        assert answer.status_code == 200, answer.text
        (face,) = answer.json()["predictions"]
        assert face["age"] == pytest.approx(estimated["age"][1], abs=1e-4)


def test_requests_at_once_get_their_own_answers(served: Served, estimated: pd.DataFrame) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda text: served.faces([text]), TEXTS * 4))
    ages = [face["age"] for (face,) in answers]
    assert ages == pytest.approx(estimated["age"].tolist() * 4, abs=1e-4)


def test_faces_are_found_in_photos_also_by_requests_at_once(served: Served) -> None:
    example = json.loads((served.folder / "serving_input_example.json").read_text(encoding="utf-8"))
    (text,) = example["dataframe_split"]["data"][0]
    wall = encoded(Image.new("RGB", (120, 90), "grey"), "JPEG")
    with ThreadPoolExecutor(2) as threads:
        both, again = threads.map(
            lambda texts: served.faces(texts, aligned=False), ([wall, text], [text])
        )
    nobody, somebody = both
    assert (nobody["photo"], nobody["face"], nobody["age"]) == (0, -1, None)
    assert nobody["reason"] == "no face found"
    assert (somebody["photo"], somebody["face"], somebody["reason"]) == (1, 0, None)
    assert 0 <= somebody["left"] < somebody["right"] <= 200
    assert somebody["score"] > 0.8
    assert again[0]["age"] == pytest.approx(somebody["age"], abs=1e-4)
    answer = served.post(example)  # the example that MLflow shows is a request as it is
    assert answer.json()["predictions"][0]["age"] == pytest.approx(somebody["age"], abs=1e-4)


TINY = encoded(Image.new("RGB", (8, 8), "grey"))
MALFORMED: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "valid JSON"),
    "a list": ([TINY], "JSON dictionary"),
    "no photos": ({"dataframe_records": []}, "image"),
    "another column": ({"dataframe_records": [{"photo": TINY}]}, "image"),
    "too many photos": ({"dataframe_records": [{"image": TINY}] * 65}, "1 to 64"),
    "aligned of another type": (
        {"dataframe_records": [{"image": TINY}], "params": {"aligned": "perhaps"}},
        "aligned",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_refused_with_the_reason(served: Served, case: str) -> None:
    body, reason = MALFORMED[case]
    answer = served.post(body)
    assert answer.status_code == 400, answer.text
    assert reason in answer.json()["message"]
    assert "Traceback" not in answer.text


def test_a_photo_that_cannot_be_read_has_its_row_and_takes_no_other_along(
    served: Served, estimated: pd.DataFrame
) -> None:
    bad: dict[Any, str] = {
        "%%%": "it is no base64",
        "abcde": "it is no base64",
        __file__: "it is no base64",
        " ": "it is empty",
        "data:image/png;base64,": "it is empty",
        None: "it is no text in base64",
        base64.b64encode(b"hello, world").decode(): "no known image format",
        TEXTS[0][: len(TEXTS[0]) // 8 * 4]: "",
    }
    texts = [text for each in bad for text in (TEXTS[1], each)]
    for aligned in (True, False):
        found = served.faces(texts, aligned=aligned)
        assert [face["photo"] for face in found] == list(range(len(texts)))
        for place, words in enumerate(bad.values()):
            reason = found[2 * place + 1]["reason"]
            assert reason.startswith("unreadable: ")
            assert words in reason
            assert (found[2 * place + 1]["face"], found[2 * place + 1]["age"]) == (-1, None)
        if aligned:
            ages = [face["age"] for face in found[::2]]
            assert ages == pytest.approx([estimated["age"][1]] * len(bad), abs=1e-4)
    for alone in (["%%%"], [5], [None], [True]):
        [face] = served.faces(alone)
        assert face["reason"].startswith("unreadable: it is no")
    good, number = served.faces([TEXTS[1], 5])
    assert (good["reason"], number["reason"]) == (None, "unreadable: it is no text in base64")


def test_another_kind_of_content_is_refused(served: Served) -> None:
    answer = served.post(base64.b64decode(TINY), "image/png")
    assert answer.status_code == 415
    assert "application/json" in answer.text


@functools.cache
def untrained() -> serving.ServedModel:
    return serving.ServedModel(AgeEstimator(untrained_model()))


def refusal(texts: list[Any]) -> str:
    with pytest.raises(MlflowException) as caught:
        untrained().predict(pd.DataFrame({"image": texts}), {"aligned": True})
    assert caught.value.get_http_status_code() == 400
    return str(caught.value)


def reasons(*texts: str) -> list[str | None]:
    found = untrained().predict(pd.DataFrame({"image": texts}), {"aligned": True})
    return list(found["reason"])


def test_too_many_pixels_together_are_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(AgeEstimator, "predict", lambda *_, **__: pytest.fail("decoded"))
    monkeypatch.setattr(serving, "MOST_PIXELS_AT_ONCE", 150)
    assert "64 million" not in refusal([TINY] * 3)
    assert "several requests" in refusal([TINY] * 3)


def test_a_photo_of_too_many_bytes_or_pixels_is_not_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "MOST_BYTES", 2**20)
    assert reasons(TINY, "A" * 2**21) == [None, "unreadable: the file has more than 1 MiB"]
    monkeypatch.setattr(serving, "MOST_PIXELS", 64)
    # What is not decoded does not count with the others, either.
    monkeypatch.setattr(serving, "MOST_PIXELS_AT_ONCE", 64)
    large = encoded(Image.new("RGB", (8, 9), "grey"))
    [refused, read] = reasons(large, TINY)
    assert str(refused).startswith("unreadable: it has, with 8 x 9, more than")
    assert read is None


def test_a_picture_that_would_unpack_without_end_is_refused() -> None:
    file = bytearray(base64.b64decode(TINY))
    file[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in PNG's first chunk
    file[29:33] = zlib.crc32(file[12:29]).to_bytes(4, "big")
    [refused, read] = reasons(base64.b64encode(file).decode(), TINY)
    assert "more than 50 million pixels" in str(refused)
    assert read is None


def test_formats_that_strangers_are_not_offered_are_not_read() -> None:
    [refused, read] = reasons(encoded(Image.new("RGB", (8, 8), "grey"), "EPS"), TINY)
    assert str(refused).startswith("unreadable: ")
    assert read is None
    assert reasons(encoded(Image.new("RGB", (8, 8), "grey"), "AVIF")) == [None]


def test_a_crop_that_is_no_face_has_its_reason() -> None:
    long = encoded(Image.new("RGB", (100, 50), "grey"))
    found = untrained().predict(pd.DataFrame({"image": [long, TINY]}), {"aligned": True})
    assert found["photo"].tolist() == [0, 1]
    assert found["age"][0] is None
    assert "no aligned face" in found["reason"][0]
    assert found["reason"][1] is None


def test_a_detector_that_fails_is_the_servers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("17 photos failed in detection")

    monkeypatch.setattr(AgeEstimator, "predict", fail)
    with pytest.raises(MlflowException, match="no face can be found: 17 photos") as caught:
        untrained().predict(pd.DataFrame({"image": [TINY]}))
    assert caught.value.get_http_status_code() == 500


def test_what_is_logged_is_loaded_with_signature_and_example(
    tmp_path: Path, estimated: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A database would take longer than all else here; the final model's pipeline logs into one.
    def log(*, name: str, **given: Any) -> Any:
        mlflow.pyfunc.save_model(str(tmp_path / name), **given)
        return SimpleNamespace(model_uri=str(tmp_path / name))

    monkeypatch.setattr(mlflow.pyfunc, "log_model", log)
    save_model(spread_model(), tmp_path / "age_model.pt")
    uri = serving.log_served(tmp_path / "age_model.pt", name="ages")
    assert uri == str(tmp_path / "ages")
    model = mlflow.pyfunc.load_model(uri)
    found = model.predict(pd.DataFrame({"image": TEXTS}), params={"aligned": True})
    assert found["age"].tolist() == pytest.approx(estimated["age"].tolist(), abs=1e-4)
    assert model.metadata.signature == serving.signature()
    requirements = (tmp_path / "ages" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert requirements == serving.requirements()
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", own) for own in requirements)
    # An index would give whatever has taken the project's name there.
    assert not [own for own in requirements if own.startswith("contrastive")]


def test_a_server_of_another_network_needs_its_library(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    model = untrained_model(architecture=Architecture("timm/resnet10t"))
    save_model(model, tmp_path / "age_model.pt")
    serving.save_served(tmp_path / "age_model.pt", tmp_path / "ages")
    needed = (tmp_path / "ages" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [own for own in needed if own not in serving.requirements()] == [needed[-1]]
    assert needed[-1].startswith("timm==")


def test_a_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    save_model(untrained_model(), tmp_path / "age_model.pt")
    with pytest.raises(DataError, match="exists already"):
        serving.save_served(tmp_path / "age_model.pt", tmp_path)
    assert [own.name for own in tmp_path.iterdir()] == ["age_model.pt"]


def test_a_folder_that_cannot_be_written_is_said_before_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"saved cannot be written: .*file is no folder"):
        serving.save_served(tmp_path / "none.pt", tmp_path / "file" / "saved")


def test_what_is_no_model_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such model"):
        serving.save_served(tmp_path / "none.pt", tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []
