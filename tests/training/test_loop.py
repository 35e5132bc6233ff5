"""Tests of the training loop: what it learns, repeats, resumes and refuses."""

import logging
import math
import os
import shutil
import threading
import time
from contextlib import redirect_stderr
from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import Terminal
from contrastive_age.errors import DataError, TrainingError
from contrastive_age.model.architecture import Architecture
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.losses import LossWeights, TripletPositions
from contrastive_age.model.network import AgeNetwork, Outputs
from contrastive_age.training import checkpoint, loop
from contrastive_age.training.loop import choose_device, learning_rate, train
from contrastive_age.triplets.index import build_index
from training.recipes import varied
from training.small import RECIPE, Fold, KilledError, people, run, same, start, without_seconds

TERMS = ["total", "softmax", "mean", "variance", "cosine", "triplet", "kl", "kl_printed"]


@pytest.fixture
def fold():
    return people()


@pytest.fixture(autouse=True)
def _one_thread():
    """Steps this small only lose by a second thread, and badly where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def start_resnet():
    network = AgeNetwork(RECIPE.classes)
    load_initial_weights(network, RECIPE.classes, None, seed=5)
    return network


def start_dropout():
    architecture = Architecture(head="dropout")
    network = AgeNetwork.undrawn(RECIPE.classes, architecture)
    load_initial_weights(network, RECIPE.classes, None, seed=5)
    return network


@pytest.mark.parametrize("triplets", ["explicit", "shared"])
def test_learns_and_reports_every_term_every_epoch(fold, triplets):
    recipe = varied(RECIPE, triplets=triplets, epochs=12, lr=0.02)
    history = run(fold, start(), recipe)
    assert list(history) == ["epoch", "lr", *TERMS, "anchors_without_positive", "seconds"]
    assert history["epoch"].tolist() == list(range(1, 13))
    assert np.isfinite(history.to_numpy()).all()
    assert history["total"].iloc[-1] < 0.7 * history["total"].iloc[0]
    weighted = (
        history["softmax"]
        + 0.2 * history["mean"]
        + 0.05 * history["variance"]
        + history["cosine"]
        + history["triplet"]
    )
    np.testing.assert_allclose(history["total"], weighted, rtol=1e-5)
    alone = int((fold.index.positives == 0).sum())
    assert alone >= 1
    assert history["anchors_without_positive"].tolist() == [alone] * 12


@pytest.mark.parametrize("triplets", ["explicit", "shared"])
def test_one_seed_gives_the_same_bits_twice(fold, triplets):
    recipe = varied(RECIPE, triplets=triplets)
    networks = [start(), start()]
    torch.manual_seed(1)
    first = run(fold, networks[0], recipe)
    torch.manual_seed(2)
    np.random.seed(3)  # noqa: NPY002 global state must not matter
    second = run(fold, networks[1], recipe)
    assert same(*networks)
    assert without_seconds(first).equals(without_seconds(second))
    other = start()
    run(fold, other, varied(recipe, seed=6))
    assert not same(networks[0], other)


@pytest.mark.parametrize(
    ("finished", "epochs", "triplets", "start"),
    [
        (0, 3, "explicit", start),
        (1, 3, "explicit", start),
        (2, 3, "explicit", start),
        (1, 3, "shared", start),
        (1, 2, "shared", start_resnet),
        (1, 2, "shared", start_dropout),
    ],
)
def test_resumed_after_a_kill_it_ends_like_one_never_interrupted(
    fold, tmp_path, monkeypatch, finished, epochs, triplets, start
):
    recipe = varied(RECIPE, triplets=triplets, epochs=epochs)
    whole = start()
    expected = run(fold, whole, recipe)
    real, calls = loop.total_loss, []

    def killed_in_a_later_epoch(*arguments, **named):
        calls.append(1)
        if len(calls) == finished * 3 + 2:  # about three steps an epoch: 22 anchors by 8
            raise KilledError
        return real(*arguments, **named)

    monkeypatch.setattr(loop, "total_loss", killed_in_a_later_epoch)
    with pytest.raises(KilledError):
        run(fold, start(), recipe, work_folder=tmp_path)
    monkeypatch.setattr(loop, "total_loss", real)
    seen = []
    resumed = start()
    history = run(
        fold,
        resumed,
        recipe,
        work_folder=tmp_path,
        on_epoch=lambda epoch, values: seen.append((epoch, values["total"])),
    )
    assert same(whole, resumed)
    assert without_seconds(history).equals(without_seconds(expected))
    totals = expected[["epoch", "total"]].itertuples(index=False, name=None)
    assert seen == list(totals)[finished:]
    states = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(states[0][name], other) for name, other in states[1].items())


def test_what_layers_draw_follows_from_the_seed_and_leaves_torchs_numbers_alone(fold):
    networks = []
    for seed in (5, 5, 6):
        torch.manual_seed(len(networks))
        before = torch.get_rng_state()
        networks.append(start_dropout())
        run(fold, networks[-1], varied(RECIPE, epochs=1, seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
    assert same(networks[0], networks[1])
    assert not same(networks[0], networks[2])


@pytest.mark.parametrize("sync", [1, 2], ids=["content", "name"])
def test_killed_while_a_thread_writes_it_ends_like_one_never_interrupted(
    fold, tmp_path, monkeypatch, sync
):
    whole = start()
    expected = run(fold, whole)
    real, steps, syncs, trained_on = loop.total_loss, [], [], threading.Event()
    fsync, work, left = os.fsync, tmp_path / "work", tmp_path / "left by the kill"

    def in_the_third_epoch(*arguments, **named):
        steps.append(1)
        if len(steps) == 2 * 3 + 2:
            trained_on.set()
        return real(*arguments, **named)

    def while_the_second_is_written(opened):
        syncs.append(1)
        if len(syncs) == 2 + sync:  # each syncs its content, then the folder with its name
            assert trained_on.wait(60)
            shutil.copytree(work, left)
        fsync(opened)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "total_loss", in_the_third_epoch)
        patch.setattr(os, "fsync", while_the_second_is_written)
        run(fold, start(), work_folder=work)
    assert len(list(left.iterdir())) == (2 if sync == 1 else 1)
    resumed, epochs = start(), []
    history = run(fold, resumed, work_folder=left, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == ([2, 3] if sync == 1 else [3])
    assert same(whole, resumed)
    assert without_seconds(history).equals(without_seconds(expected))


def test_killed_after_an_epoch_without_a_checkpoint_it_ends_like_one_never_interrupted(
    fold, tmp_path, monkeypatch
):
    recipe = varied(RECIPE, epochs=5)
    whole = start()
    expected = run(fold, whole, recipe)
    epochs = []

    def killed_in_the_fourth(epoch, _):
        epochs.append(epoch)
        if epoch == 4:
            raise KilledError

    monkeypatch.setattr(time, "monotonic", lambda: 10 * len(epochs))
    with pytest.raises(KilledError):
        run(
            fold,
            start(),
            recipe,
            work_folder=tmp_path,
            checkpoint_every=25,
            on_epoch=killed_in_the_fourth,
        )
    resumed, epochs = start(), []
    # Another interval is no reason to begin anew.
    history = run(
        fold,
        resumed,
        recipe,
        work_folder=tmp_path,
        checkpoint_every=0,
        on_epoch=lambda epoch, _: epochs.append(epoch),
    )
    assert epochs == [3, 4, 5]
    assert same(whole, resumed)
    assert without_seconds(history).equals(without_seconds(expected))


def test_killed_before_the_network_is_stored_nothing_is_trained_again(fold, tmp_path):
    trained, again = start(), start()
    history = run(fold, trained, work_folder=tmp_path)
    epochs = []
    repeated = run(
        fold, again, work_folder=tmp_path, on_epoch=lambda epoch, values: epochs.append(epoch)
    )
    assert same(trained, again)
    assert repeated.equals(history)
    assert epochs == []


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": varied(RECIPE, seed=6)},
        {"fingerprint": "other images"},
        {"recipe": varied(RECIPE, lr=2e-3)},
        {"recipe": varied(RECIPE, augmentation=replace(RECIPE.augmentation, degrees=5))},
        {"recipe": varied(RECIPE, loss=replace(RECIPE.loss, lambda_c=2))},
    ],
    ids=["seed", "data", "rate", "augmentation", "lambda"],
)
def test_a_checkpoint_of_other_things_is_not_used(fold, tmp_path, caplog, change):
    run(fold, start(), work_folder=tmp_path)
    fresh, expected = start(), start()
    with caplog.at_level(logging.WARNING):
        run(fold, fresh, work_folder=tmp_path, **change)
    assert "made with other data or parameters" in caplog.text
    run(fold, expected, **change)
    assert same(fresh, expected)


def test_a_truncated_checkpoint_starts_training_again(fold, tmp_path, caplog):
    expected, fresh = start(), start()
    run(fold, expected, work_folder=tmp_path)
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:5000])
    run(fold, fresh, work_folder=tmp_path)
    assert "is damaged or no checkpoint" in caplog.text
    assert same(expected, fresh)


@pytest.mark.parametrize("between", [1, 50])
def test_a_loss_that_is_not_finite_names_epoch_step_and_terms(fold, monkeypatch, between):
    real, calls = loop.total_loss, []

    def broken_in_the_fifth_step(*arguments, **named):
        terms = real(*arguments, **named)
        calls.append(1)
        if len(calls) != 5:
            return terms
        return terms | {"total": terms["total"] * math.nan, "mean": terms["mean"] * math.inf}

    class SeldomLooking(loop._EpochLosses):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self._between = between

    monkeypatch.setattr(loop, "total_loss", broken_in_the_fifth_step)
    monkeypatch.setattr(loop, "_EpochLosses", SeldomLooking)
    terms = r"total nan, softmax \d.*, mean inf, variance \d.*, kl \d.*, kl_printed -\d"
    with pytest.raises(TrainingError, match=f"epoch 2, step 2: {terms}"):
        run(fold, start())
    assert len(calls) == (5 if between == 1 else 6)


def test_a_diverging_run_stops_by_itself(fold):
    recipe = varied(RECIPE, lr=1e30, schedule="constant")
    with pytest.raises(TrainingError, match="not finite in epoch"):
        run(fold, start(), recipe)


def test_the_history_averages_steps_by_their_anchors(fold, monkeypatch):
    real, steps = loop.total_loss, []

    def recorded(outputs, age_index, triplets, *rest, **named):
        terms = real(outputs, age_index, triplets, *rest, **named)
        steps.append((len(triplets.anchor), [x.item() for x in terms.values()]))
        return terms

    monkeypatch.setattr(loop, "total_loss", recorded)
    history = run(fold, start(), varied(RECIPE, epochs=1))
    assert [anchors for anchors, _ in steps] == [8, 8, 6]
    expected = sum(np.array(terms) * anchors for anchors, terms in steps) / 22
    np.testing.assert_allclose(history[TERMS].to_numpy()[0], expected, rtol=1e-6)


def test_each_step_is_one_forward_pass_of_all_its_images(fold):
    sizes = []
    network = start()
    network.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    run(fold, network, varied(RECIPE, epochs=1, triplets="shared"))
    assert sum(sizes) == 22
    sizes.clear()
    run(fold, network, varied(RECIPE, epochs=1, triplets="explicit"))
    positives = int((fold.index.positives > 0).sum())
    negatives = int((fold.index.negatives > 0).sum())
    assert len(sizes) == 3
    assert sum(sizes) == 22 + positives + negatives


@pytest.mark.parametrize("supervise", ["anchor", "all"])
def test_which_images_are_supervised_is_a_setting(fold, supervise, monkeypatch):
    seen = []
    real = loop.total_loss
    monkeypatch.setattr(loop, "total_loss", lambda *x, **y: seen.append(x[-1]) or real(*x, **y))
    run(fold, start(), varied(RECIPE, supervise=supervise, epochs=1))
    assert set(seen) == {supervise}


def test_rates_follow_their_schedule_over_the_whole_training(fold, monkeypatch):
    rates = []
    real = loop._set_rate
    monkeypatch.setattr(loop, "_set_rate", lambda *x: rates.append(real(*x)) or rates[-1])
    history = run(fold, start())
    seen = np.array([0, 8, 16, 22, 30, 38, 44, 52, 60]) / 66
    np.testing.assert_allclose(rates, 1e-3 * (1 + np.cos(np.pi * seen)) / 2)
    np.testing.assert_allclose(history["lr"], rates[2::3])


def test_shapes_of_the_schedules():
    progress = np.linspace(0, 1, 101)
    constant, cosine, cycle, step = (
        np.array([learning_rate(schedule, x, 0.01) for x in progress])
        for schedule in ("constant", "cosine", "onecycle", "step")
    )
    assert (constant == 0.01).all()
    assert cosine[[0, 50, 100]] == pytest.approx([0.01, 0.005, 0])
    assert (np.diff(cosine) < 0).all()
    assert cycle[[0, 30, 100]] == pytest.approx([0.01 / 25, 0.01, 0.01 / 25 / 1e4])
    assert (np.diff(cycle[:31]) > 0).all()
    assert (np.diff(cycle[30:]) < 0).all()
    assert (step[:80] == 0.01).all()
    assert step[80:] == pytest.approx(0.001)


def test_of_a_hundred_epochs_the_last_twenty_have_a_tenth_of_the_rate():
    rates = [learning_rate("step", epoch / 100, 0.001) for epoch in range(100)]
    assert rates == [0.001] * 80 + [pytest.approx(0.0001)] * 20


def test_onecycle_is_torchs():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([parameter])
    steps = 200
    reference = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.01, total_steps=steps + 1)
    for step in range(steps + 1):
        # torch turns from rise to fall one step earlier: equal within the change of a step
        expected = reference.get_last_lr()[0]
        assert learning_rate("onecycle", step / steps, 0.01) == pytest.approx(expected, abs=1.5e-4)
        optimiser.step()
        if step < steps:
            reference.step()


def test_an_age_outside_the_classes_is_named(fold):
    fold.ages[3] = 25
    with pytest.raises(DataError, match=r"outside the age classes 20\.\.24, for example 25"):
        run(fold, start())


def test_a_single_image_is_too_few(fold):
    one = Fold(fold.images[:1], fold.ages[:1], fold.identities[:1])
    with pytest.raises(DataError, match="1 training images"):
        run(one, start())


def test_lengths_must_agree(fold):
    with pytest.raises(ValueError, match="22 images, 22 ages and a triplet index of 3 rows"):
        train(
            fold.images,
            fold.ages,
            build_index(fold.ages[:3], fold.identities[:3]),
            start(),
            RECIPE,
        )


def test_trains_whatever_mode_the_network_was_in(fold):
    training, evaluating = start(), start().eval()
    run(fold, training)
    run(fold, evaluating)
    assert same(training, evaluating)


def test_torchs_options_are_as_before_even_after_an_error(fold, monkeypatch):
    inside = []

    def fails(*arguments, **named):
        inside.append(torch.are_deterministic_algorithms_enabled())
        raise KilledError

    monkeypatch.setattr(loop, "total_loss", fails)
    with pytest.raises(KilledError):
        run(fold, start())
    assert inside == [True]
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_gradients_of_shared_partners_are_the_same_bits_with_many_threads():
    """Several threads would else sum a shared partner's gradients in any order."""
    torch.set_num_threads(4)
    generator = torch.Generator().manual_seed(0)
    rows, flags = torch.arange(256), torch.ones(256, dtype=torch.bool)
    triplets = TripletPositions(rows, rows % 8, (rows + 1) % 8, flags, flags)
    features = torch.randn(256, 512, generator=generator, requires_grad=True)
    logits = torch.randn(256, 70, generator=generator)
    weights = LossWeights(lambda_c=1, margin=0)
    with loop._deterministic():
        gradients = []
        for _ in range(20):
            terms = loop.total_loss(Outputs(features, logits), rows % 70, triplets, weights, "all")
            gradients += torch.autograd.grad(terms["total"], features)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


def test_progress_is_shown_on_a_terminal_only_when_asked_for(fold, capsys):
    with redirect_stderr(Terminal()) as shown:
        run(fold, start(), progress=True, label="fold_3")
    assert "fold_3, epoch 3/3" in shown.getvalue()
    assert "anchor/s, loss=" in shown.getvalue()
    with redirect_stderr(Terminal()) as shown:
        run(fold, start())
    assert not shown.getvalue()
    run(fold, start(), progress=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("available", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_the_device_is_the_gpu_where_there_is_one(monkeypatch, available, chosen):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(
        torch, "empty", lambda *size, device: asked.append(device) or torch.zeros(size)
    )
    choose_device()
    assert asked == [chosen]


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(DataError, match=f"device={name} cannot be used"):
        choose_device(name)
