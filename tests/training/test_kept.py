"""What is kept of a training, and that every change of the recipe can be interrupted."""

import pytest
import torch

from contrastive_age.training.recipe import TEST, VALIDATION
from contrastive_age.training.watching import Watched
from training.recipes import varied
from training.small import RECIPE, KilledError, people, run, same, start, without_seconds

OTHERS = people()
WATCHED = {VALIDATION: Watched(OTHERS.images.flip(-1), OTHERS.ages)}


def states(recipe, errors, monkeypatch):
    """A training that is said to err so; the network at its end, and after each epoch."""
    network, after, left = start(), [], iter(errors)
    monkeypatch.setattr(Watched, "error", lambda *_: next(left))

    def remember(*_):
        after.append({name: tensor.clone() for name, tensor in network.state_dict().items()})

    run(people(), network, recipe, watched=WATCHED, on_epoch=remember)
    return network.state_dict(), after


@pytest.mark.parametrize(
    ("errors", "best"), [([3, 2, 1], 2), ([1, 2, 3], 0), ([3, 1, 2], 1), ([2, 1, 1], 1)]
)
def test_the_epoch_that_validates_best_is_kept_and_of_equals_the_first(errors, best, monkeypatch):
    recipe = varied(RECIPE, validated_on="people", keep="best")
    end, after = states(recipe, errors, monkeypatch)
    for number, state in enumerate(after):
        equal = all(torch.equal(end[name], tensor) for name, tensor in state.items())
        assert equal == (number == best)


def test_validated_and_kept_as_it_is_the_last_is_kept(monkeypatch):
    end, after = states(varied(RECIPE, validated_on="people"), [1, 2, 3], monkeypatch)
    assert all(torch.equal(end[name], tensor) for name, tensor in after[-1].items())


CHANGES = [
    {"average": 0.9},
    {"reweight": "lds"},
    {"head_epochs": 3},
    {"schedule": "step"},
    {"validated_on": "images", "keep": "best"},
    {"average": 0.9, "head_epochs": 3, "validated_on": "people", "keep": "best"},
]


@pytest.mark.parametrize(
    ("change", "finished"),
    [
        (change, finished)
        for change in CHANGES
        for finished in range(1, 3 + change.get("head_epochs", 0))
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else value,
)
def test_resumed_after_a_kill_each_change_ends_like_one_never_interrupted(
    tmp_path, change, finished
):
    recipe = varied(RECIPE, **change, lr=0.02)
    watched = WATCHED | {TEST: Watched(OTHERS.images, OTHERS.ages)}
    whole, resumed, epochs = start(), start(), []
    expected = run(people(), whole, recipe, watched=watched)

    def killed(epoch, _):
        if epoch == finished + 1:
            raise KilledError

    with pytest.raises(KilledError):
        run(people(), start(), recipe, work_folder=tmp_path, watched=watched, on_epoch=killed)
    history = run(
        people(),
        resumed,
        recipe,
        work_folder=tmp_path,
        watched=watched,
        on_epoch=lambda epoch, _: epochs.append(epoch),
    )
    assert epochs == list(range(finished + 1, len(expected) + 1))
    assert same(whole, resumed)
    assert without_seconds(history).equals(without_seconds(expected))
