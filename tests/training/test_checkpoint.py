"""Tests of the checkpoint: it comes back as it was, or is noticed and ignored."""

import logging
import threading
import time
from collections.abc import Iterable

import pytest
import torch
from torch import nn

from contrastive_age.training import checkpoint
from contrastive_age.training.capture import adam, set_rate
from contrastive_age.training.checkpoint import Checkpoint, Writer

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


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


def of_epoch(epoch: int, tensor: torch.Tensor | None = None) -> Checkpoint:
    return Checkpoint({"weight": torch.zeros(2) if tensor is None else tensor}, {}, [{"e": epoch}])


@pytest.fixture
def saved(monkeypatch):
    """The epochs whose states are written from now on."""
    real, epochs = checkpoint.save, []

    def noted(folder, state, fingerprint):
        epochs.append(state.history[0]["e"])
        real(folder, state, fingerprint)

    monkeypatch.setattr(checkpoint, "save", noted)
    return epochs


@pytest.fixture
def held(monkeypatch):
    """Holds a writer back until it is set."""
    real, event = checkpoint.save, threading.Event()

    def waits(*arguments):
        assert threading.current_thread() is not threading.main_thread()
        assert event.wait(60)
        real(*arguments)

    monkeypatch.setattr(checkpoint, "save", waits)
    return event


def offer_all(writer: Writer, ends: Iterable[float], monkeypatch: pytest.MonkeyPatch) -> None:
    for epoch, end in enumerate(ends, 1):
        monkeypatch.setattr(time, "monotonic", lambda end=end: end)
        writer.offer(of_epoch(epoch))
        writer._writing.exception()  # waits


@pytest.mark.parametrize(
    ("every", "ends", "expected"),
    [
        (0, range(1, 7), [1, 2, 3, 4, 5, 6]),
        (30, range(1, 100), [29, 58, 87]),
        (30, range(14, 100, 14), [2, 4, 6]),
        (30, range(16, 100, 16), [1, 2, 3, 4, 5, 6]),
        (30, range(100, 500, 100), [1, 2, 3, 4]),
        (1e9, range(100, 500, 100), []),
    ],
)
def test_no_kill_loses_more_than_so_many_seconds_or_an_epoch(
    tmp_path, saved, monkeypatch, every, ends, expected
):
    monkeypatch.setattr(time, "monotonic", lambda: 0)
    with Writer(tmp_path, "f", every) as writer:
        offer_all(writer, ends, monkeypatch)
    assert saved == expected


def test_without_a_folder_nothing_is_kept(saved):
    with Writer(None, "f", 0) as writer:
        writer.offer(of_epoch(1))
    assert saved == []


@pytest.mark.parametrize("device", DEVICES)
def test_the_training_may_go_on_while_its_state_is_written(tmp_path, held, device):
    network = nn.Linear(3, 2, device=device)
    optimiser = adam(network.parameters(), 0.1, 0, fused=False, device=torch.device(device))
    history = [{"epoch": 1}]

    def step():
        network(torch.ones(1, 3, device=device)).sum().backward()
        optimiser.step()

    step()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    moments = [moment.clone() for moment in optimiser.state_dict()["state"][0].values()]
    with Writer(tmp_path, "f", 0) as writer:
        writer.offer(Checkpoint(network.state_dict(), optimiser.state_dict(), history))
        step()
        history.append({"epoch": 2})
        set_rate(optimiser, 7)
        assert checkpoint.load(tmp_path, "f") is None
        held.set()
    found = checkpoint.load(tmp_path, "f")
    assert found.history == [{"epoch": 1}]
    assert float(found.optimiser["param_groups"][0]["lr"]) == pytest.approx(0.1)
    for name, tensor in before.items():
        assert not torch.equal(tensor, network.state_dict()[name])
        assert torch.equal(tensor.cpu(), found.network[name])
    for moment, other in zip(moments, found.optimiser["state"][0].values(), strict=True):
        assert torch.equal(moment.cpu(), other)


def test_one_that_is_due_while_another_is_written_is_left_out_and_the_next_offered(
    tmp_path, saved, held, monkeypatch
):
    monkeypatch.setattr(time, "monotonic", lambda: 0)
    with Writer(tmp_path, "f", 30) as writer:
        for end in (100, 200, 300):
            monkeypatch.setattr(time, "monotonic", lambda end=end: end)
            writer.offer(of_epoch(end))
        held.set()
        writer._writing.result()
        monkeypatch.setattr(time, "monotonic", lambda: 301)
        writer.offer(of_epoch(301))
    assert saved == [100, 301]
    assert checkpoint.load(tmp_path, "f").history == [{"e": 301}]


def fail(*_):
    raise OSError(28, "No space left on device")


def test_what_could_not_be_written_stops_the_training_at_its_next_epoch(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(checkpoint, "save", fail)
    monkeypatch.setattr(time, "monotonic", lambda: 0)
    with pytest.raises(OSError, match="No space"), Writer(tmp_path, "f", 30) as writer:
        offer_all(writer, [20, 21], monkeypatch)
        pytest.fail("the training went on")
    assert caplog.text == ""


def test_what_could_not_be_written_stops_the_training_at_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "save", fail)
    with pytest.raises(OSError, match="No space"), Writer(tmp_path, "f", 0) as writer:
        writer.offer(of_epoch(1))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_training_that_fails_leaves_whole_files_and_no_thread(tmp_path, held, error):
    with pytest.raises(error), Writer(tmp_path, "f", 0) as writer:
        writer.offer(of_epoch(1))
        held.set()
        raise error
    assert checkpoint.load(tmp_path, "f").history == [{"e": 1}]
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]
    assert not any(thread.name.startswith("checkpoint") for thread in threading.enumerate())


def test_the_error_of_a_training_is_not_hidden_by_that_of_its_checkpoint(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(checkpoint, "save", fail)
    with pytest.raises(KeyboardInterrupt), Writer(tmp_path, "f", 0) as writer:
        writer.offer(of_epoch(1))
        raise KeyboardInterrupt
    assert "The last checkpoint could not be written ([Errno 28] No space" in caplog.text
