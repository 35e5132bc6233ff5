"""A fold that is trained is kept only where its files are those that the training wrote."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from contrastive_age.pipelines.training.nodes import _finished
from contrastive_age.provenance import state_digest

STATE = {"fc.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    history = pd.DataFrame({"epoch": [1], "total": [2.0]})
    history.attrs = {"fingerprint": "f", "model": state_digest(STATE)}
    history.to_parquet(tmp_path / "history.parquet")
    torch.save(STATE, tmp_path / "model.pth")
    return tmp_path


def test_what_the_same_things_made_is_kept(folder: Path) -> None:
    state, history = _finished(folder, "f")
    assert torch.equal(state["fc.weight"], STATE["fc.weight"])
    assert list(history["total"]) == [2.0]
    assert _finished(folder, "g") is None


def test_the_model_of_another_training_is_not_taken(folder: Path) -> None:
    torch.save(STATE | {"n": torch.tensor(4)}, folder / "model.pth")
    assert _finished(folder, "f") is None


def test_histories_that_do_not_name_their_model_are_kept(folder: Path) -> None:
    history = pd.DataFrame({"epoch": [1]})
    history.attrs = {"fingerprint": "f"}
    history.to_parquet(folder / "history.parquet")
    assert _finished(folder, "f") is not None


@pytest.mark.parametrize("name", ["history.parquet", "model.pth"])
@pytest.mark.parametrize("content", [b"", b"something else " * 99, None])
def test_damaged_files_are_not_taken(folder: Path, name: str, content: bytes | None) -> None:
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert _finished(folder, "f") is None
    path.unlink()
    assert _finished(folder, "f") is None
