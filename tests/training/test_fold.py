"""A trained network is kept only where its files are those of the wanted training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive_age.errors import DataError
from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.network import AgeNetwork
from contrastive_age.model.weights import with_seen
from contrastive_age.provenance import Record, file_digest
from contrastive_age.training.fold import (
    Watcher,
    networks_decided_by,
    require_network,
    started,
    state_digest,
    train_or_keep,
)
from contrastive_age.training.recipe import Computing, Start
from contrastive_age.triplets.index import build_index
from training.recipes import varied

STATE = {"fc.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}
DECIDED = {"faces": "f", "weights": "none", "code of training": "c"}
AGES = np.array([1, 2, 1, 2])
RECIPE = varied(classes=AgeClasses(0, 3), epochs=1, batch_size=2, seed=0)


class TrainsAnew(Exception):
    """The faces were asked for."""


def _refuse() -> torch.Tensor:
    raise TrainsAnew


def _get(folder: Path, decided_by: dict[str, str] = DECIDED, images=_refuse):
    index = build_index(AGES, np.array(["a", "b", "c", "d"]))
    return train_or_keep(
        images,
        AGES,
        index,
        RECIPE,
        Start("none"),
        folder=folder,
        decided_by=decided_by,
        computing=Computing("cpu", checkpoint_every=1e9),
        watcher=Watcher("fold 0"),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    history = pd.DataFrame({"epoch": [1], "total": [2.0]})
    record = Record(DECIDED, {"torch": "1.0"}).document
    history.attrs = {"record": record, "model": state_digest(STATE)}
    history.to_parquet(tmp_path / "history.parquet")
    torch.save(STATE, tmp_path / "model.pth")
    return tmp_path


def test_what_the_same_things_made_is_kept(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    state, history = _get(folder)
    assert torch.equal(state["fc.weight"], STATE["fc.weight"])
    assert list(history["total"]) == [2.0]
    # Another library is another machine's, and no reason to train again.
    assert "fold 0: made elsewhere, with torch 1.0 (here " in caplog.text


@pytest.mark.parametrize("name", list(DECIDED))
def test_what_others_made_is_trained_anew_and_it_is_said_why(
    folder: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TrainsAnew):
        _get(folder, DECIDED | {name: "other"})
    assert f"trained anew: {name} was {DECIDED[name]} and is now other" in caplog.text


def test_where_no_sample_trains_it_is_said(tmp_path: Path) -> None:
    nobody = np.array([], np.int64)
    with pytest.raises(DataError, match="fold 0: no sample trains"):
        train_or_keep(
            _refuse,
            nobody,
            build_index(nobody, nobody),
            RECIPE,
            Start("none"),
            folder=tmp_path,
            decided_by=DECIDED,
            computing=Computing("cpu"),
            watcher=Watcher("fold 0"),
        )


def _untrained(folder: Path, weights: Path) -> Any:
    recipe = replace(RECIPE, training=replace(RECIPE.training, epochs=0))
    return train_or_keep(
        _refuse,
        AGES,
        build_index(AGES, np.array(["a", "b", "c", "d"])),
        recipe,
        Start(str(weights), file_digest(weights)),
        folder=folder,
        decided_by=DECIDED,
        computing=Computing("cpu"),
        watcher=Watcher("fold 0"),
    )


def test_of_no_epochs_the_initial_weights_are_the_network(tmp_path: Path) -> None:
    network = AgeNetwork(RECIPE.classes)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    state, history = _untrained(tmp_path / "fold", tmp_path / "weights.pth")
    for name, tensor in network.state_dict().items():
        assert torch.equal(state[name], tensor), name
    assert history.empty
    assert {"epoch", "total", "seconds"} <= set(history)


@pytest.mark.parametrize(
    ("lacking", "words"), [(("fc.weight", "fc.bias"), "fc.weight, fc.bias"), ((), "4 of its ages")]
)
def test_weights_without_all_ages_are_not_tested_as_they_are(
    lacking: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    # Another number of classes, whose ages nobody states.
    network = AgeNetwork(RECIPE.classes if lacking else AgeClasses(0, 9))
    state = {name: x for name, x in network.state_dict().items() if name not in lacking}
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(DataError, match=f"lacks what .*{words}.*as they are"):
        _untrained(tmp_path / "fold", tmp_path / "weights.pth")


def _start(folder: Path, lacking: str | tuple[str, ...], **training: Any) -> Any:
    """Make the network that a training starts from a file without some of its tensors."""
    whole = AgeNetwork(RECIPE.classes).state_dict()
    weights = folder / "weights.pth"
    torch.save({name: x for name, x in whole.items() if not name.endswith(lacking)}, weights)
    recipe = replace(RECIPE, training=replace(RECIPE.training, **training))
    return started(recipe, Start(str(weights), file_digest(weights)))


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        (".layer4.1.conv2.weight", r"\(backbone\.layer4\.1\.conv2\.weight\), which would stay"),
        (("running_var", "fc.bias"), r"\(backbone\.bn1\.running_var, .*, \.\.\.\), which would"),
    ],
)
def test_no_head_is_trained_on_a_backbone_of_which_something_stays_random(
    lacking: str | tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"weights\.pth lacks tensors of the backbone {words}"):
        _start(tmp_path, lacking, epochs=0, head_epochs=2)
    # What learns may be drawn.
    _start(tmp_path, lacking, epochs=1, head_epochs=2)
    recipe = replace(RECIPE, training=replace(RECIPE.training, epochs=0, head_epochs=2))
    with pytest.raises(DataError, match="none lacks tensors of the backbone"):
        started(recipe, Start("none"))


@pytest.mark.parametrize("lacking", ["fc.weight", ("fc.weight", "fc.bias"), "num_batches_tracked"])
def test_a_fresh_head_needs_no_head_before_it(
    lacking: str | tuple[str, ...], tmp_path: Path
) -> None:
    _start(tmp_path, lacking, epochs=0, head_epochs=2)


def test_the_model_of_another_training_is_not_taken(folder: Path) -> None:
    torch.save(STATE | {"n": torch.tensor(4)}, folder / "model.pth")
    with pytest.raises(TrainsAnew):
        _get(folder)


def test_a_history_that_does_not_say_what_made_it_is_not_taken(folder: Path) -> None:
    history = pd.read_parquet(folder / "history.parquet")
    history.attrs = {"fingerprint": "f", "model": state_digest(STATE)}
    history.to_parquet(folder / "history.parquet")
    with pytest.raises(TrainsAnew):
        _get(folder)


@pytest.mark.parametrize("name", ["history.parquet", "model.pth"])
@pytest.mark.parametrize("content", [b"", b"something else " * 99, None])
def test_damaged_files_are_not_taken(folder: Path, name: str, content: bytes | None) -> None:
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    for _ in range(2):
        with pytest.raises(TrainsAnew):
            _get(folder)
        path.unlink(missing_ok=True)


def test_a_training_says_what_made_it_and_how_it_was_computed(tmp_path: Path) -> None:
    faces = torch.randint(0, 255, (4, 3, 36, 36), dtype=torch.uint8)
    state, history = _get(tmp_path, images=lambda: faces)
    assert Record.read(history.attrs["record"]).decided_by == DECIDED
    assert {"torch", "numpy", "machine"} <= history.attrs["record"]["made_with"].keys()
    assert history.attrs["computed"]["threads"] == torch.get_num_threads()
    assert history.attrs["computed"]["precision"] == "float32"
    assert history.attrs["model"] == state_digest(state)
    assert list(tmp_path.iterdir()) == []  # no epoch takes so long that a checkpoint was due


TRAINED_ON = pd.DataFrame({"sample_id": ["a", "b"], "identity": ["1", "2"], "age": [30, 40]})
NAMED = {"key": "mv-0", "weights": "none", "faces": [], "trained_on": TRAINED_ON}


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"key": "ce-0"}, "setting"),
        ({"weights": "imagenet"}, "weights"),
        ({"faces": [np.zeros((1, 256, 256, 3), np.uint8)]}, "faces"),
        ({"trained_on": TRAINED_ON.iloc[::-1]}, "samples trained on"),
        ({"trained_on": TRAINED_ON.assign(age=31)}, "samples trained on"),
    ],
)
def test_a_network_of_other_values_faces_or_samples_is_refused(
    changed: dict[str, Any], name: str
) -> None:
    decided_by = networks_decided_by(**NAMED)
    about = {"record": Record(decided_by).document}
    model = with_seen(STATE, about, "digest")
    require_network(model, decided_by, "fgnet_se mv-0, fold 2")
    with pytest.raises(DataError, match=rf"of fgnet_se mv-0, fold 2, is another .*: {name} was "):
        require_network(model, networks_decided_by(**NAMED | changed), "fgnet_se mv-0, fold 2")
    with pytest.raises(DataError, match="does not say what it was made from"):
        require_network(STATE, decided_by, "fgnet_se mv-0, fold 2")
