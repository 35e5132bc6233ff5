"""Whatever is given for a photo, to the command, the class, the page and the server: good ones keep
their ages, and every other is answered with its reason."""

import base64
import io
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mlflow.exceptions import MlflowException
from PIL import Image

from contrastive_age.app import page
from contrastive_age.app.parts import faces_html
from contrastive_age.commands.predict import predict
from contrastive_age.errors import DataError
from contrastive_age.inference.estimator import AgeEstimator
from contrastive_age.inference.model_file import save_model
from contrastive_age.inference.photos import Photo
from contrastive_age.serving import ServedModel
from fuzz.cases import VALUES, cases, names, photo_bytes, watched, whole
from inference import detectors
from inference.models import untrained_model

pytestmark = pytest.mark.endurance

PLACES = ["", "  ", "data:image/png;base64,", "data:;base64,"]


@pytest.fixture(scope="module")
def estimator() -> AgeEstimator:
    return AgeEstimator(untrained_model(), device="cpu", load_detector=detectors.boxes)


@pytest.fixture(scope="module")
def age(estimator: AgeEstimator) -> float:
    """Of the face in the good photo."""
    (photo,) = estimator.predict([good()])
    return photo.faces[0].age


def good() -> Image.Image:
    return Image.open(io.BytesIO(whole("png")))


def answered(photo: Photo) -> bool:
    """Whether a photo has faces with ages, or the reason why it has none."""
    if not photo.faces:
        return bool(photo.reason) and "\n" not in str(photo.reason)
    return photo.reason is None and all(math.isfinite(face.age) for face in photo.faces)


def test_the_command_answers_every_photo_and_keeps_the_good_ones(
    estimator: AgeEstimator,
    age: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tmp_path / "age_model.pt"
    save_model(estimator.model, model)
    monkeypatch.setattr(AgeEstimator, "load", lambda *_, **__: estimator)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "good.png").write_bytes(whole("png"))
    entries = st.tuples(names("good", "photo"), photo_bytes())

    @cases()
    @given(
        st.lists(entries, min_size=1, max_size=2, unique_by=lambda entry: entry[0]),
        st.sampled_from([".csv", ".json"]),
        st.booleans(),
        st.booleans(),
    )
    def each(beside: list[tuple[str, bytes]], suffix: str, aligned: bool, drawn: bool) -> None:
        made = []
        for name, content in beside:
            if Path(name).stem.lower() != "good":
                made.append(photos / name)
                made[-1].write_bytes(content)
        try:
            with watched():
                check(made, tmp_path / f"ages{suffix}", aligned, drawn)
        finally:
            for path in made:
                path.unlink()
            for path in (tmp_path / "drawn").glob("*"):
                path.unlink()

    def check(made: list[Path], output: Path, aligned: bool, drawn: bool) -> None:
        # Those that are named are photos, whatever they are called.
        places = [photos / "good.png", *made]
        folder = tmp_path / "drawn" if drawn else None
        with suppress(SystemExit):  # not one could be read
            predict(
                places, project=tmp_path, model=model, output=output, draw=folder, aligned=aligned
            )
        capsys.readouterr()
        table = (pd.read_csv if output.suffix == ".csv" else pd.read_json)(output)
        assert table["file"].nunique() == len(places)
        assert (table["reason"].notna() | table["age"].notna()).all()
        own = table[table["file"] == str(photos / "good.png")]
        if not aligned:  # it is no square
            assert own["age"].tolist() == pytest.approx([age], abs=1e-4)
            assert (tmp_path / "drawn" / "good.png.jpg").exists() == drawn

    each()


ANY_ARRAY = arrays.arrays(
    st.one_of(
        *(arrays.boolean_dtypes(), arrays.integer_dtypes(), arrays.floating_dtypes()),
        *(arrays.unicode_string_dtypes(max_len=2), st.just(np.dtype(np.uint8))),
    ),
    arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)
ANY_IMAGE = st.builds(
    lambda mode, width, height: Image.new(mode, (width, height)),
    st.sampled_from(
        [
            *("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA"),
            *("RGBX", "RGBa", "La", "I;16", "I;16B"),
        ]
    ),
    *[st.integers(0, 6)] * 2,
)


def test_the_class_answers_every_object_and_keeps_the_good_ones(
    estimator: AgeEstimator, age: float, tmp_path: Path
) -> None:
    paths = st.sampled_from(["", ".", "/dev/null", "/", "none.jpg", "a\0.jpg", "x" * 5000, "~"])
    given_path = st.builds(lambda make, path: make(path), st.sampled_from([str, Path]), paths)

    @cases()
    @given(
        st.lists(
            st.one_of(
                *(ANY_ARRAY, ANY_IMAGE, given_path, VALUES),
                *(photo_bytes(), photo_bytes().map(io.BytesIO)),
            ),
            min_size=1,
            max_size=3,
        ),
        st.booleans(),
    )
    def each(others: list[Any], aligned: bool) -> None:
        with watched():
            photos = estimator.predict([good(), *others, np.asarray(good())], aligned=aligned)
        assert len(photos) == len(others) + 2
        assert all(map(answered, photos))
        if not aligned:
            for photo in (photos[0], photos[-1]):
                assert [face.age for face in photo.faces] == pytest.approx([age], abs=1e-4)

    each()


def test_the_page_shows_a_photo_or_says_why_it_cannot(estimator: AgeEstimator) -> None:
    @cases()
    @given(photo_bytes())
    def each(content: bytes) -> None:
        with watched():
            try:
                image, photo, maps = page._look(estimator, content)
            except DataError as error:
                assert "\n" not in str(error)
                return
            assert image.mode == "RGB"
            assert answered(photo)
            assert len(maps)
            assert "<img" in faces_html(photo, image)

    each()


def test_the_server_answers_or_refuses_with_the_row(estimator: AgeEstimator, age: float) -> None:
    served = ServedModel(estimator)
    own = base64.b64encode(whole("png")).decode()
    encoded = st.builds(
        lambda before, content: before + base64.b64encode(content).decode(),
        st.sampled_from(PLACES),
        photo_bytes(),
    )

    @cases()
    @given(
        st.lists(st.one_of(encoded, encoded, VALUES, st.text()), max_size=3),
        st.one_of(st.none(), st.just({"aligned": False}), st.just({})),
    )
    def each(others: list[Any], params: dict[str, Any] | None) -> None:
        photos = pd.DataFrame({"image": pd.Series([own, *others], dtype=object)})
        with watched():
            try:
                table = served.predict(photos, params)
            except MlflowException as error:
                assert error.error_code == "INVALID_PARAMETER_VALUE"
                # The good photo is not the one to blame.
                assert "row 0" not in str(error)
                return
        json.dumps(table.to_dict("records"), allow_nan=False)
        assert set(table["photo"]) == set(range(len(photos)))
        assert table["age"][0] == pytest.approx(age, abs=1e-4)

    each()
