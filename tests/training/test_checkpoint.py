"""Tests of the checkpoint: it comes back as it was, or is noticed and ignored."""

import logging

import pytest
import torch
from torch import nn

from contrastive_age.training import checkpoint
from contrastive_age.training.checkpoint import Checkpoint


@pytest.fixture
def state():
    """A network and optimiser after one step."""
    network = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return Checkpoint(
        network.state_dict(), optimiser.state_dict(), [{"epoch": 1, "total": 2.5, "lr": 1e-3}]
    )


def test_comes_back_as_it_was(tmp_path, state):
    folder = tmp_path / "fold_0"
    checkpoint.save(folder, state, "made by this")
    found = checkpoint.load(folder, "made by this")
    assert found.history == state.history
    assert torch.equal(found.network["weight"], state.network["weight"])
    for name in ("exp_avg", "exp_avg_sq", "step"):
        assert torch.equal(found.optimiser["state"][0][name], state.optimiser["state"][0][name])
    assert [path.name for path in folder.iterdir()] == [checkpoint.NAME]


def test_absent_is_no_checkpoint_and_no_warning(tmp_path, caplog):
    assert checkpoint.load(tmp_path / "nowhere", "made by this") is None
    assert caplog.text == ""


def test_of_other_things_is_noticed_and_ignored(tmp_path, state, caplog):
    checkpoint.save(tmp_path, state, "made by that")
    assert checkpoint.load(tmp_path, "made by this") is None
    assert "made with other data or parameters" in caplog.text


@pytest.mark.parametrize("part", [0, 1, 100, 0.3, 0.9, 0.999])
def test_truncated_is_noticed_and_ignored(tmp_path, state, caplog, part):
    checkpoint.save(tmp_path, state, "made by this")
    path = tmp_path / checkpoint.NAME
    content = path.read_bytes()
    path.write_bytes(content[: part if isinstance(part, int) else int(part * len(content))])
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load(tmp_path, "made by this") is None
    assert f"{path} is damaged or no checkpoint" in caplog.text


class Exploding:
    """What a hostile file holds: unpickled carelessly, it calls a function of its choice."""

    def __reduce__(self):
        return (pytest.fail, ("code of a file was run",))


@pytest.mark.parametrize(
    "content",
    [
        {"fingerprint": "made by this"},
        {"fingerprint": "made by this", "network": {}, "optimiser": {}, "history": [], "more": 1},
        {"network": {}, "optimiser": {}, "history": []},
        [1, 2],
        torch.zeros(2),
        Exploding(),
    ],
)
def test_foreign_is_noticed_and_ignored(tmp_path, caplog, content):
    torch.save(content, tmp_path / checkpoint.NAME)
    assert checkpoint.load(tmp_path, "made by this") is None
    assert "is damaged or no checkpoint" in caplog.text


def test_a_failed_save_leaves_the_last_one(tmp_path, state, monkeypatch):
    checkpoint.save(tmp_path, state, "made by this")

    def full(content, file):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save(tmp_path, Checkpoint({}, {}, []), "made by this")
    assert checkpoint.load(tmp_path, "made by this").history == state.history
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]


def test_discard_removes_it_and_may_be_repeated(tmp_path, state):
    checkpoint.save(tmp_path, state, "made by this")
    checkpoint.discard(tmp_path)
    checkpoint.discard(tmp_path)
    assert list(tmp_path.iterdir()) == []
