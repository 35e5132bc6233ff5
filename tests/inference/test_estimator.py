"""Ages of the faces in photos: those of the network, in order, from any thread and any script."""

import dataclasses
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import contrastive_age
from contrastive_age.errors import DataError
from contrastive_age.evaluation.conformal import Radii
from contrastive_age.evaluation.outputs import predict
from contrastive_age.inference import photos
from contrastive_age.inference.estimator import AgeEstimator, faces_table
from contrastive_age.inference.model_file import save_model
from contrastive_age.inference.photos import Photo
from contrastive_age.training.augmentation import centre_crop, prepare
from inference import detectors
from inference.detectors import photo, save_photos
from inference.models import untrained_model

SOURCE = Path(contrastive_age.__file__).parents[1]


@pytest.fixture(scope="module")
def estimator() -> AgeEstimator:
    return AgeEstimator(untrained_model(), device="cpu", load_detector=detectors.boxes)


def crops(number: int, size: int = 256) -> list[np.ndarray]:
    shape = (number, size, size, 3)
    return list(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def test_ages_are_those_of_the_network_face_by_face(estimator: AgeEstimator) -> None:
    given = crops(70)
    found = estimator.predict(given, aligned=True)
    network = untrained_model().network()
    for pixels, own in zip(given[::9], found[::9], strict=True):
        [face] = own.faces
        views = centre_crop(prepare(pixels[None], np.arange(1), 32), 32)
        with torch.inference_mode():
            weights = network(views).logits[0].double().softmax(dim=0).numpy()
        age = sum(weight * year for year, weight in enumerate(weights))
        spread = sum(weight * (year - age) ** 2 for year, weight in enumerate(weights)) ** 0.5
        assert face.age == pytest.approx(age, abs=1e-3)
        assert face.std == pytest.approx(spread, abs=1e-3)
        np.testing.assert_allclose(face.probabilities, weights, atol=1e-6)
        np.testing.assert_array_equal(face.pixels, pixels)
        assert face.intervals == {
            "80": (face.age - 6.5, face.age + 6.5), "95": (face.age - 12.25, face.age + 12.25),
        }  # fmt: skip


def test_a_temperature_moves_spread_and_probabilities_alone(estimator: AgeEstimator) -> None:
    model = dataclasses.replace(estimator.model, temperature=2.5)
    given = crops(3)
    plain = estimator.predict(given, aligned=True)
    tempered = AgeEstimator(model, device="cpu").predict(given, aligned=True)
    years = np.arange(70)
    for before, after in zip(plain, tempered, strict=True):
        [own], [face] = before.faces, after.faces
        assert (face.age, face.intervals) == (own.age, own.intervals)
        shares = own.probabilities.astype(np.float64) ** (1 / 2.5)
        shares /= shares.sum()
        np.testing.assert_allclose(face.probabilities, shares, atol=1e-6)
        spread = np.sqrt(shares @ (years - shares @ years) ** 2)
        assert face.std == pytest.approx(spread, abs=1e-3)
        assert abs(face.std - own.std) > 1e-3


def test_no_interval_begins_below_zero() -> None:
    model = untrained_model()
    model = dataclasses.replace(model, radii=Radii.of_one_width({"80": 50.0, "95": np.inf}))
    [[face]] = [own.faces for own in AgeEstimator(model).predict(crops(1), aligned=True)]
    assert face.intervals == {"80": (0.0, face.age + 50.0), "95": (0.0, np.inf)}


def test_intervals_follow_the_age_of_each_face() -> None:
    radii = Radii((30.0, 38.0), {"80": (1.0, 9.0), "95": (2.0, 18.0)})
    model = dataclasses.replace(untrained_model(), radii=radii)
    estimated = AgeEstimator(model).predict(crops(20), aligned=True)
    faces = [face for photo in estimated for face in photo.faces]
    for face in faces:
        radius = 1.0 + min(max(face.age - 30.0, 0.0), 8.0)
        assert face.intervals["80"] == pytest.approx((face.age - radius, face.age + radius))
        assert face.intervals["95"] == pytest.approx((face.age - 2 * radius, face.age + 2 * radius))
    table = faces_table(estimated)
    assert (table["high_95"] - table["age"]).to_numpy() == pytest.approx(
        radii.at(table["age"])["95"]
    )
    assert table["high_80"].sub(table["low_80"]).nunique() > 1


def test_a_model_without_radii_gives_no_intervals() -> None:
    model = dataclasses.replace(untrained_model(), radii=Radii())
    estimated = AgeEstimator(model).predict(crops(1), aligned=True)
    assert estimated[0].faces[0].intervals == {}
    table = faces_table(estimated)
    assert table[["low_80", "high_80", "low_95", "high_95"]].isna().all(axis=None)
    assert table["age"].notna().all()


def test_every_face_of_every_photo_is_there(estimator: AgeEstimator, tmp_path: Path) -> None:
    paths = save_photos(tmp_path, ("face", "face"), (), ("face",), ("faulty",))
    (tmp_path / "text.jpg").write_text("no image")
    many = [photo("face", "face", "face", seed=seed) for seed in range(25)]
    found = estimator.predict([*map(str, paths), tmp_path / "text.jpg", *many])
    assert [len(own.faces) for own in found] == [2, 0, 1, 0, 0] + [3] * 25
    assert [own.name for own in found[:6]] == [
        *map(str, paths),
        str(tmp_path / "text.jpg"),
        "image 5",
    ]
    assert [own.reason is None for own in found[:6]] == [True, False, True, False, False, True]
    left = [face.box[0] for face in found[7].faces]
    assert left == sorted(left)
    # A face has the age that its pixels have, so none was given another's.
    faces = [face for own in found for face in own.faces]
    again = estimator.predict([face.pixels for face in faces], aligned=True)
    np.testing.assert_allclose(
        [face.age for face in faces], [own.faces[0].age for own in again], atol=1e-4
    )
    assert len({face.age for face in faces}) > 50


def test_no_photo_gives_nothing(estimator: AgeEstimator) -> None:
    assert estimator.predict([]) == []
    table = faces_table([])
    assert len(table) == 0
    assert table["age"].dtype == np.float64


def test_photos_stream(estimator: AgeEstimator) -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        [crop] = crops(1, 32)
        while True:
            taken += 1
            yield crop

    stream = estimator.stream(endless(), aligned=True)
    names = [next(stream).name for _ in range(300)]
    assert names == [f"image {number}" for number in range(300)]
    assert taken <= 300 + 128


def test_photos_before_a_common_fault_are_given(
    estimator: AgeEstimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "MOST_FAILURES", 1)
    given = [photo("face"), photo("face", "face"), photo("faulty"), photo("faulty"), photo("face")]
    found: list[Photo] = []
    with pytest.raises(RuntimeError, match="2 photos failed in detection"):
        found.extend(estimator.stream(given))
    assert [len(own.faces) for own in found] == [1, 2, 0]
    assert found[1].faces[1].age > 0


def test_heat_maps_are_those_of_grad_cam(estimator: AgeEstimator) -> None:
    given = crops(2)
    faces = [own.faces[0] for own in estimator.predict(given, aligned=True)]
    images = prepare(np.stack(given), np.arange(2), 32)
    expected = predict(untrained_model().network(), images, 32).maps
    np.testing.assert_allclose(estimator.explain(faces), expected, atol=1e-6)
    with pytest.raises(ValueError, match="no face to explain"):
        estimator.explain([])


def test_threads_take_turns(estimator: AgeEstimator) -> None:
    found: dict[int, list[Photo]] = {}
    images = {seed: [photo(*["face"] * seed, seed=seed)] * 3 for seed in (1, 2, 3)}

    def ask(seed: int) -> None:
        found[seed] = estimator.predict(images[seed])

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in images:
        assert [len(own.faces) for own in found[seed]] == [seed] * 3


def test_the_detector_is_loaded_with_the_first_photo_and_not_for_crops() -> None:
    own = AgeEstimator(untrained_model(), device="cpu", load_detector=detectors.none)
    assert len(own.predict(crops(1), aligned=True)[0].faces) == 1
    with pytest.raises(AssertionError, match="no detector is needed"):
        own.predict([photo("face")])


def test_the_smallest_face_is_said_and_obeyed(estimator: AgeEstimator) -> None:
    large = photo("face", size=(6000, 300))
    images = [photo("face", "face", size=(480, 300)), large, photo()]
    found = estimator.predict(images)
    assert [own.min_face for own in found] == [24, 100, 24]
    assert [len(own.faces) for own in found] == [2, 0, 0]
    [own] = estimator.predict(crops(1), aligned=True)
    assert np.isnan(own.min_face)

    picky = AgeEstimator(
        untrained_model(), device="cpu", min_face=40, load_detector=detectors.boxes
    )
    found = picky.predict(images)
    assert [own.min_face for own in found] == [40, 40, 40]
    assert [len(own.faces) for own in found] == [2, 1, 0]


def test_a_file_that_is_no_model_and_an_absent_device_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such model"):
        AgeEstimator.load(tmp_path / "none.pt")
    with pytest.raises(DataError, match="device=tricorder"):
        AgeEstimator(untrained_model(), device="tricorder")


def test_no_estimator_is_made_that_can_do_nothing() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        AgeEstimator(untrained_model(), workers=0)
    with pytest.raises(ValueError, match="more pixels than 0 million"):
        AgeEstimator(untrained_model(), most_megapixels=0)


def test_how_large_a_photo_may_be_is_said_and_obeyed(tmp_path: Path) -> None:
    save_model(untrained_model(), tmp_path / "age_model.pt")
    given = [photo(size=(200, 200)), photo(size=(300, 300))]
    model = AgeEstimator.load(tmp_path / "age_model.pt", device="cpu", most_megapixels=0.05)
    small, large = model.predict(given, aligned=True)
    assert (small.reason, large.faces) == (None, ())
    assert "300 x 300 pixels are more than most_megapixels=0.05" in str(large.reason)


@pytest.mark.parametrize("min_face", [0, -5, 11.9, float("nan")])
def test_no_faces_are_looked_for_for_which_photos_must_be_enlarged(min_face: float) -> None:
    with pytest.raises(ValueError, match="from 12 pixels up"):
        AgeEstimator(untrained_model(), min_face=min_face)


def test_the_table_has_a_row_a_face_and_one_for_none(
    estimator: AgeEstimator, tmp_path: Path
) -> None:
    paths = save_photos(tmp_path, ("face", "face"), ())
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    found = estimator.predict([*paths, strange])
    table = faces_table(found)
    assert list(table.columns) == [
        "file", "face", "age", "low_80", "high_80", "low_95", "high_95", "score",
        "left", "top", "right", "bottom", "min_face", "reason", "note",
    ]  # fmt: skip
    assert table["file"].tolist() == [str(paths[0])] * 2 + [str(paths[1]), f"{tmp_path}/\\xff.png"]
    assert table["face"].tolist() == [0, 1, -1, -1]
    assert table["reason"].isna().tolist() == [True, True, False, False]
    assert table["note"].isna().all()
    [noted] = faces_table([dataclasses.replace(found[2], note="its end is missing")])["note"]
    assert noted == "its end is missing"
    first = found[0].faces[1]
    row = table.iloc[1]
    assert (row["age"], row["score"], row["right"]) == (first.age, first.score, first.box[2])
    assert (row["low_95"], row["high_95"]) == first.intervals["95"]
    assert table.loc[2:, "age":"bottom"].isna().all(axis=None)
    assert table["min_face"].tolist()[:3] == [24, 24, 24]
    assert np.isnan(table["min_face"][3])


def test_the_package_names_the_estimator_and_nothing_else() -> None:
    assert contrastive_age.AgeEstimator is AgeEstimator
    assert (SOURCE / "contrastive_age" / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        contrastive_age.Nothing  # noqa: B018


def test_a_plain_script_without_a_guard_finds_faces(tmp_path: Path) -> None:
    """Without Kedro, too; the notebook has the real detector."""
    [path] = save_photos(tmp_path, ("face", "face"))
    save_model(untrained_model(), tmp_path / "age_model.pt")
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys
print("started")
import contrastive_age
assert not {{"torch", "pandas", "kedro", "mlflow"}} & sys.modules.keys()
from contrastive_age import AgeEstimator
model = AgeEstimator.load({str(tmp_path / "age_model.pt")!r}).model
from inference import detectors
estimator = AgeEstimator(model, load_detector=detectors.boxes)
[photo] = estimator.predict([{str(path)!r}])
print(len(photo.faces))
print({{"kedro", "mlflow", "kedro_mlflow", "tensorflow", "mtcnn"}} & sys.modules.keys())
""")
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": f"{SOURCE}{os.pathsep}{Path(__file__).parents[1]}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["started", "2", "set()"]


def test_a_model_and_an_estimator_are_shown_in_three_lines() -> None:
    model = untrained_model()
    lines = repr(model).splitlines()
    assert (
        lines[0] == "AgeModel synthetic_se ternary-00000000: ages 0 to 69 years, faces of 32 pixels"
    )
    assert "5.00 years on average in cross-validation" in lines[1]
    assert lines[2] == "Trained on: not stated"
    assert len(lines) == 3
    estimator = AgeEstimator(model, device="cpu")
    assert repr(estimator) == f"AgeEstimator on cpu, {model!r}"
