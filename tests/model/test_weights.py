"""Weights remember every photo that they were ever trained on, and load like any others."""

import hashlib
import io
import json
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from torchvision.models import ResNet18_Weights

from contrastive_age.errors import DataError
from contrastive_age.faces.looks import look_of
from contrastive_age.io.arrays import ArrayArchive
from contrastive_age.model import weights as module
from contrastive_age.model import weights as weights_module
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.network import AgeNetwork
from contrastive_age.model.seen import PHOTOS, Seen, read_photos, to_arrays
from contrastive_age.model.weights import (
    IMAGENET_URL,
    STATED,
    Weights,
    external_faces,
    grown,
    initial_weights,
    read_saved,
    read_weights,
    refuse_tested,
    with_seen,
    write_saved,
)
from contrastive_age.protocols.copies import Photos
from inference.models import untrained_model

MOST_BITS = 40


def card(name: str = "first", sources: tuple[str, ...] = ("utkface",), **given: Any) -> Any:
    """What a training says of itself."""
    return {
        "name": name,
        "sources": list(sources),
        "n": 4,
        "identities": 3,
        "data_hash": f"hash of {name}",
        "epochs": 2,
        "image_size": 32,
        "licence": "; ".join(f"{source}: for «research»" for source in sources),
        "age_min": 0,
        "age_max": 69,
        **given,
    }


def faces(seed: int, n: int = 4) -> npt.NDArray[np.uint8]:
    """Smooth patterns, as different from one another as faces of different people."""
    rng = np.random.default_rng(seed)
    frequency = rng.integers(1, 6, (n, 12, 2))
    phase, height = rng.uniform(0, 6, (n, 12)), rng.normal(size=(n, 12))
    x = np.linspace(0, np.pi, 64)
    waves = np.cos(
        frequency[..., 0, None, None] * x[:, None]
        + frequency[..., 1, None, None] * x
        + phase[..., None, None]
    )
    values = (waves * height[..., None, None]).sum(axis=1)
    grey = np.uint8(127 + 120 * np.tanh(values / 3))
    return np.repeat(grey[..., None], 3, axis=3)


def photos(images: npt.NDArray[np.uint8], seed: int = 0) -> Photos:
    """Photos of faces whose files have bytes of their own."""
    found = np.stack([look for image in images if (look := look_of(image)) is not None])
    assert len(found) == len(images)
    digests = np.random.default_rng(seed).integers(0, 256, (len(images), 32), np.uint8)
    return Photos(digests, found[:, 0], found[:, 1], np.ones(len(images), bool))


@cache
def network_state() -> Any:
    return untrained_model().state


def state() -> dict[str, torch.Tensor]:
    return dict(network_state())


def save(path: Path, saved: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(saved, path)
    return path


def read(path: Path, saved: Any) -> Weights:
    return read_weights(save(path, saved))


def seen_of(weights: Weights) -> Seen:
    assert weights.seen is not None
    return weights.seen


def check(seen: Seen, tested: Photos) -> None:
    """Look for tested photos among those that a network has seen."""
    hashes = {"digest": tested.digests, "look": tested.looks, "mirrored": tested.mirrored}
    table = pd.DataFrame({name: [row.tobytes().hex() for row in x] for name, x in hashes.items()})
    table["sample_id"] = [f"sample {row}" for row in range(len(table))]
    refuse_tested(Weights("w.pth", {}, "", (), seen), table, MOST_BITS)


def refused(seen: Seen, tested: Photos) -> str:
    with pytest.raises(DataError) as caught:
        check(seen, tested)
    return str(caught.value)


@pytest.fixture
def first() -> Seen:
    return grown(None, card(), photos(faces(1), seed=1))


def same(one: Photos, other: Photos) -> bool:
    names = ("digests", "looks", "mirrored", "compared")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_the_cards_the_photos_and_what_else_was_said_come_back(tmp_path: Path, first: Seen) -> None:
    path = tmp_path / "weights.pth"
    weights = read(path, with_seen(state(), {"made_from": {"seed": 3}}, first))
    seen = seen_of(weights)
    assert seen.cards == first.cards
    assert same(seen.photos, first.photos)
    assert seen.digest == first.digest
    assert weights_module.seen_of(torch.load(path, weights_only=True)).digest == first.digest
    with pytest.raises(LookupError):
        weights_module.seen_of(state())
    assert weights.about == {"made_from": {"seed": 3}}
    assert weights.classes == AgeClasses(0, 69)
    assert (weights.name, weights.files) == (str(path), (path,))
    assert weights.state.keys() == state().keys()


@pytest.mark.parametrize("kind", ["with the photos", "with a reference to them"])
def test_any_reader_of_weights_loads_them_strictly(tmp_path: Path, first: Seen, kind: str) -> None:
    saved = (
        with_seen(state(), {}, first)
        if kind == "with the photos"
        else with_seen(state(), {}, first.digest)
    )
    path = save(tmp_path / "weights.pth", saved)
    network = AgeNetwork(AgeClasses(0, 69))
    network.load_state_dict(torch.load(path, weights_only=True), strict=True)
    assert all(torch.equal(own, state()[name]) for name, own in network.state_dict().items())


def test_other_modules_load_theirs_strictly(tmp_path: Path, first: Seen) -> None:
    layer = torch.nn.Linear(3, 2)
    path = save(tmp_path / "layer.pth", with_seen(layer.state_dict(), {}, first))
    other = torch.nn.Linear(3, 2)
    other.load_state_dict(torch.load(path, weights_only=True), strict=True)
    assert torch.equal(other.weight, layer.weight)


def test_two_generations_remember_both(tmp_path: Path, first: Seen) -> None:
    stage_1 = read(tmp_path / "1.pth", with_seen(state(), {}, first))
    terms = "utkface: for «research»; custom: mine"
    latest = card("second", ("custom", "utkface"), licence=terms, age_min=16, age_max=85)
    second = grown(stage_1, latest, photos(faces(2), seed=2))
    stage_2 = read(tmp_path / "2.pth", with_seen(state(), {}, second))
    seen = seen_of(stage_2)
    assert [own["name"] for own in seen.cards] == ["second", "first"]
    assert seen.sources == ("custom", "utkface")
    assert seen.licence == terms
    # The linear layer is the latest training's.
    assert stage_2.classes == AgeClasses(16, 85)
    for images in (faces(1), faces(2)):
        assert "4 of 4 test photos were seen" in refused(seen, photos(images, seed=9))
    check(seen, photos(faces(3), seed=3))

    third = grown(stage_2, card("third", ("fgnet",)), photos(faces(4), seed=4))
    assert [own["name"] for own in third.cards] == ["third", "second", "first"]
    assert third.licence == "fgnet: for «research»; utkface: for «research»; custom: mine"
    assert "4 of 4" in refused(third, photos(faces(1), seed=9))


def test_a_photo_that_several_trainings_saw_is_carried_once(tmp_path: Path, first: Seen) -> None:
    stage_1 = read(tmp_path / "1.pth", with_seen(state(), {}, first))
    assert len(grown(stage_1, card("second"), first.photos).photos) == 4


def test_what_is_refused_is_counted_by_how_it_is_known() -> None:
    images = faces(5, 41)
    known = photos(images, seed=1)
    seen = grown(None, card(sources=("utkface", "custom")), known)
    text = refused(seen, known)
    assert "41 of 41 test photos" in text
    assert "41 have the same bytes, 0 look the same, 0 look the same mirrored" in text
    assert "sample 0, which has the same bytes as one of utkface, custom" in text
    plain, mirrored = photos(images, seed=2), photos(images[:, :, ::-1], seed=3)
    assert "0 have the same bytes, 41 look the same, 0 look" in refused(seen, plain)
    assert "0 have the same bytes, 0 look the same, 41 look the same mirrored" in refused(
        seen, mirrored
    )
    text = refused(seen, Photos.union([photos(faces(6, 2), seed=4), mirrored.take(np.arange(3))]))
    assert "3 of 5 test photos" in text
    assert "sample 2, which looks the same as the mirror image of one of" in text


def test_the_card_of_a_training_is_complete() -> None:
    lacking = {name: value for name, value in card().items() if name != "licence"}
    with pytest.raises(ValueError, match="lacks licence"):
        grown(None, lacking, photos(faces(1)))


@pytest.mark.parametrize(
    ("name", "terms"), [("imagenet", "ImageNet's, for non-commercial"), ("w.pth", "not stated")]
)
def test_the_terms_of_what_has_no_card_are_carried_too(name: str, terms: str) -> None:
    start = Weights(name, state(), "0" * 64, ())
    licence = grown(start, card(), photos(faces(1))).licence
    assert licence.startswith("utkface: for «research»; initial weights: ")
    assert terms in licence


def test_weights_that_state_nothing_are_of_unknown_origin(tmp_path: Path, first: Seen) -> None:
    for place, saved in enumerate((state(), OrderedDict(state()), AgeNetwork(AgeClasses(0, 69)))):
        plain = saved.state_dict() if isinstance(saved, AgeNetwork) else saved
        weights = read(tmp_path / f"{place}.pth", plain)
        assert (weights.seen, weights.classes, dict(weights.about)) == (None, None, {})
        assert external_faces(weights) is None
    assert external_faces(None) is None
    assert initial_weights("none", None) is None


def test_results_tell_of_all_generations(tmp_path: Path, first: Seen) -> None:
    stage_1 = read(tmp_path / "1.pth", with_seen(state(), {}, first))
    second = grown(stage_1, card("second", ("fgnet",), seconds=1.0), photos(faces(2), seed=2))
    weights = read(tmp_path / "2.pth", with_seen(state(), {}, second))
    told = external_faces(weights)
    assert told is not None
    assert (told["name"], told["data_hash"], told["epochs"]) == ("second", "hash of second", 2)
    assert told["sources"] == ["fgnet", "utkface"]
    assert told["licence"] == "fgnet: for «research»; utkface: for «research»"
    assert told["n"] == 8
    assert told["weights"] == weights.digest
    assert [own["name"] for own in told["generations"]] == ["second", "first"]
    assert "seconds" not in told["generations"][0]
    json.dumps(told, allow_nan=False)


@pytest.fixture
def setting(tmp_path: Path, first: Seen) -> Path:
    """The folder of a setting: a fold's network, and beside the folds their list of photos."""
    folder = tmp_path / "fgnet_se" / "ternary-0"
    save(folder / "fold_0" / "model.pth", with_seen(state(), {"fold": 0}, first.digest))
    ArrayArchive(str(folder / PHOTOS)).save(to_arrays(first))
    return folder


def test_a_folds_network_finds_its_list(setting: Path, first: Seen) -> None:
    weights = read_weights(setting / "fold_0" / "model.pth")
    assert seen_of(weights).digest == first.digest
    assert weights.classes == AgeClasses(0, 69)
    assert weights.about == {"fold": 0}
    assert weights.files == (setting / "fold_0" / "model.pth", setting / PHOTOS)
    assert read_photos(setting / PHOTOS).cards == first.cards
    assert (setting / "fold_0" / "model.pth").stat().st_size - 50_000 < sum(
        own.nbytes for own in state().values()
    )


def test_copied_with_its_list_it_finds_it_beside(
    setting: Path, first: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copied").mkdir()
    for place in read_weights(setting / "fold_0" / "model.pth").files:
        (tmp_path / "copied" / place.name).write_bytes(place.read_bytes())
    monkeypatch.chdir(tmp_path / "copied")
    assert seen_of(read_weights(Path("model.pth"))).digest == first.digest


def test_a_folds_network_without_its_list_is_refused(setting: Path) -> None:
    (setting / PHOTOS).unlink()
    with pytest.raises(DataError, match=r"neither beside it .*: copy photos\.npz along"):
        read_weights(setting / "fold_0" / "model.pth")


def test_a_folds_network_with_another_list_is_refused(setting: Path) -> None:
    other = grown(None, card(), photos(faces(7)))
    ArrayArchive(str(setting / PHOTOS)).save(to_arrays(other))
    with pytest.raises(DataError, match=r"photos\.npz is another.*copy photos\.npz along"):
        read_weights(setting / "fold_0" / "model.pth")


@pytest.mark.parametrize("damage", ["cut", "no text", "an array of another type"])
def test_a_damaged_list_is_named(setting: Path, first: Seen, damage: str) -> None:
    path = setting / PHOTOS
    arrays = to_arrays(first)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "no text":
        np.savez(path, digests=arrays["digests"])
    else:
        ArrayArchive(str(path)).save(arrays | {"looks": arrays["looks"].astype(np.int64)})
    with pytest.raises(DataError, match=r"photos\.npz cannot be read as a list of photos"):
        read_weights(setting / "fold_0" / "model.pth")


@pytest.mark.parametrize("damage", ["version", "text", "shape"])
def test_what_is_stated_but_cannot_be_read_is_refused(
    tmp_path: Path, first: Seen, damage: str
) -> None:
    saved = with_seen(state(), {}, first)
    stated: dict[str, Any] = vars(saved)[STATED]
    if damage == "version":
        stated["about"] = stated["about"].replace('"version": 1', '"version": 2')
    elif damage == "text":
        del stated["text"]
    else:
        stated["looks"] = stated["looks"][:, :8].clone()
    with pytest.raises(DataError, match=r"weights\.pth: what it states of the photos"):
        read(tmp_path / "weights.pth", saved)


def before(coverage: float) -> dict[str, torch.Tensor]:
    """A file as earlier versions wrote it: three tensors of bytes among the others."""
    known = photos(faces(1), seed=1)
    text = json.dumps(card(coverage=coverage)).encode()
    return state() | {
        "pretraining.card": torch.from_numpy(np.frombuffer(text, np.uint8).copy()),
        "pretraining.digests": torch.from_numpy(known.digests),
        "pretraining.hashes": torch.from_numpy(known.looks),
    }


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    weights = read(tmp_path / "before.pth", before(1.35))
    seen = seen_of(weights)
    assert weights.state.keys() == state().keys()
    assert seen.cards == (card(coverage=1.35),)
    assert weights.classes == AgeClasses(0, 69)
    assert "4 have the same bytes" in refused(seen, photos(faces(1), seed=1))
    assert "4 look the same," in refused(seen, photos(faces(1), seed=2))
    assert "4 look the same mirrored" in refused(seen, photos(faces(1)[:, :, ::-1], seed=2))
    grown_on = grown(weights, card("second"), photos(faces(2), seed=2))
    assert seen_of(read(tmp_path / "now.pth", with_seen(state(), {}, grown_on))).cards[1] == (
        card(coverage=1.35)
    )


def test_hashes_of_another_coverage_are_not_compared(tmp_path: Path) -> None:
    seen = seen_of(read(tmp_path / "before.pth", before(1.0)))
    assert not seen.photos.compared.any()
    assert "4 have the same bytes" in refused(seen, photos(faces(1), seed=1))


def test_a_final_model_is_no_weights_to_train_from(tmp_path: Path) -> None:
    from contrastive_age.inference.model_file import save_model

    save_model(untrained_model(), tmp_path / "age_model.pt")
    with pytest.raises(DataError, match=r"age_model\.pt: is a final model.*model\.pth beside it"):
        read_weights(tmp_path / "age_model.pt")


def test_another_layer_put_in_the_classifiers_place_is_of_unknown_ages(
    tmp_path: Path, first: Seen
) -> None:
    saved = with_seen(state(), {}, first)
    saved["fc.weight"] = torch.zeros(12, 512)
    assert read(tmp_path / "weights.pth", saved).classes is None


def test_torchvisions_address_of_imagenets_weights() -> None:
    assert ResNet18_Weights.IMAGENET1K_V1.url == IMAGENET_URL


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some file of weights under the name of ImageNet's in torch's cache."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return save(tmp_path / "checkpoints" / "resnet18-f37072fd.pth", state())


def test_a_file_that_only_has_the_name_of_imagenets_weights_is_refused(cached: Path) -> None:
    with pytest.raises(DataError, match=r"resnet18-f37072fd\.pth is not the file.*Delete it"):
        initial_weights("imagenet", None)


def test_imagenets_weights_are_checked_and_read(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "file_digest", lambda _: "f37072fd" + 56 * "0")
    weights = initial_weights("imagenet", None)
    assert weights is not None
    assert (weights.name, weights.seen, weights.files) == ("imagenet", None, (cached,))
    assert weights.digest.startswith("f37072fd")
    assert weights.state.keys() == state().keys()


@pytest.mark.real_data
def test_weights_that_an_earlier_version_made(shared_data: Path) -> None:
    weights = read_weights(shared_data / "weights" / "utkface_224.pth")
    seen = seen_of(weights)
    assert (len(seen.photos), seen.sources) == (11_672, ("utkface",))
    assert seen.photos.compared.all()
    assert weights.classes == AgeClasses(0, 120)
    assert len(weights.state) == 122


def _named(*names: str) -> pd.DataFrame:
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    return pd.DataFrame({"sample_id": names, "digest": digests, "look": "", "mirrored": ""})


def test_photos_that_the_start_has_seen_are_not_tested() -> None:
    names = ("name", "sources", "n", "identities", "data_hash", "epochs", "image_size", "licence")
    card = dict.fromkeys(names, "") | {"sources": ["utkface"]}
    seen = Seen((card,), Photos.of_table(_named("a", "b")))
    start = Weights("first.pth", {}, "", (), seen)
    refuse_tested(start, _named("c", "d"), 40)
    refuse_tested(start, _named(), 40)
    for unknown in (None, Weights("imagenet", {}, "", ())):
        refuse_tested(unknown, _named("a"), 40)
    with pytest.raises(DataError, match=r"1 of 2 test photos .* of first\.pth.* b, which has the"):
        refuse_tested(start, _named("c", "b"), 40)


@pytest.mark.parametrize("sums", [True, False])
def test_one_damaged_bit_of_a_weight_is_refused_where_there_are_sums(
    tmp_path: Path, sums: bool
) -> None:
    path, weight = tmp_path / "w.pth", torch.arange(1000.0)
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(sums)
    try:
        torch.save({"w": weight}, path)
    finally:
        torch.serialization.set_crc32_options(before)
    assert torch.equal(read_saved(path, "weights")["w"], weight)
    content = bytearray(path.read_bytes())
    content[content.index(weight[500:510].numpy().tobytes())] ^= 1
    path.write_bytes(content)
    if sums:
        with pytest.raises(DataError, match=r"w\.pth: cannot be read as weights, it is damaged"):
            read_saved(path, "weights")
    else:
        assert not torch.equal(read_saved(path, "weights")["w"], weight)


def test_what_is_written_has_a_sum_of_all_of_it(tmp_path: Path) -> None:
    path, weight = tmp_path / "w.pth", torch.arange(10.0)
    write_saved({"w": weight}, path)
    whole = path.read_bytes()
    assert torch.equal(torch.load(path, weights_only=True)["w"], weight)
    for place in range(0, len(whole) - 8, 3):
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"w\.pth: cannot be read as weights, it is damaged"):
            read_saved(path, "weights")
    path.write_bytes(whole[:-3])
    with pytest.raises(DataError, match="it is damaged"):
        read_saved(path, "weights")


def test_control_c_while_weights_are_written_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []

    class Pressed(io.FileIO):
        def write(self, content: Any) -> int:
            writes.append(1)
            if len(writes) == when:
                raise KeyboardInterrupt
            return super().write(content)

    monkeypatch.setattr(Path, "open", lambda path, mode: Pressed(str(path), mode))
    when = 0
    write_saved({"w": torch.ones(9), "b": torch.zeros(9)}, tmp_path / "w.pth")
    for when in range(1, len(writes) + 1):  # noqa: B007  the file reads it
        writes.clear()
        with pytest.raises(KeyboardInterrupt):
            write_saved({"w": torch.ones(9), "b": torch.zeros(9)}, tmp_path / "w.pth")
