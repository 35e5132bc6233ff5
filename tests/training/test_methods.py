"""Every named setting trains, on few faces, and in as many views as it needs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import Architecture
from contrastive_age.model.heads import HEADS
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.losses import (
    LossWeights,
    TripletPositions,
    acting,
    head,
    reported,
    total_loss,
    views,
)
from contrastive_age.model.losses.rnc import rnc_loss
from contrastive_age.model.network import AgeNetwork, Outputs, expected_age
from contrastive_age.training import loop
from contrastive_age.training.acceleration import Plan, resolve
from contrastive_age.training.augmentation import (
    centre_crop,
    draw,
    frame_size,
    geometry,
    sample,
    scaling,
)
from contrastive_age.training.recipe import Acceleration
from contrastive_age.triplets.index import build_index
from contrastive_age.triplets.sampling import batches
from training.recipes import varied

PARAMETERS = Path(__file__).resolve().parents[2] / "conf" / "base" / "parameters"
SETTINGS = yaml.safe_load((PARAMETERS / "protocols.yml").read_text(encoding="utf-8"))["settings"]
METHODS = [
    *("rnc", "supcon", "conr", "ordinal_entropy", "dldl", "dldl_v2", "sord"),
    *("or_cnn", "coral", "unimodal", "l1", "bmse"),
]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CLASSES = AgeClasses(20, 29)


@pytest.fixture(autouse=True)
def _one_thread():
    """Steps this small only lose by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def part():
    """Faces that show their age by brightness."""
    rng = np.random.default_rng(1)
    ages, size = rng.integers(20, 30, 32), frame_size(32)
    faces = rng.integers(0, 30, (32, 3, size, size)) + (ages - 20)[:, None, None, None] * 24
    return torch.from_numpy(faces.astype(np.uint8)), ages, build_index(ages, np.arange(32) % 8)


def recipe_of(name, **changed):
    loss = LossWeights(**SETTINGS["fgnet"][name])
    made = {"loss": loss, "architecture": Architecture(head=head(loss))}
    return varied(classes=CLASSES, triplets="shared", supervise="all", **made, **changed)


def started(recipe):
    network = AgeNetwork.undrawn(CLASSES, recipe.architecture)
    load_initial_weights(network, CLASSES, None, seed=5)
    return network


def test_both_families_name_all_methods_alike():
    fgnet, morph = SETTINGS["fgnet"], SETTINGS["morph"]
    assert [fgnet[name] for name in METHODS] == [morph[name] for name in METHODS]
    for name in METHODS:
        acting_alone = [term.name for term in acting(LossWeights(**fgnet[name]))]
        assert name in acting_alone


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_end_to_end(part, name):
    images, ages, index = part
    recipe = recipe_of(name, epochs=4)
    network = started(recipe)
    history = loop.train(images, ages, index, network, recipe, device=CPU)
    assert np.isfinite(history.drop(columns="epoch").to_numpy()).all()
    assert [column for column in history if column in reported(recipe.loss)] == reported(
        recipe.loss
    )
    assert name in history
    # Trained, as every network is used: by the mean of its softmax.
    with torch.no_grad():
        outputs = network.train()(centre_crop(images, 32))
    predicted, _ = expected_age(outputs.logits, CLASSES.values)
    error = (predicted - torch.from_numpy(ages)).abs().mean()
    assert error < 0.8 * np.abs(ages - np.median(ages)).mean()


@pytest.mark.parametrize("name", METHODS)
def test_a_methods_step_never_waits_for_a_gpu(part, name):
    """On a pretended GPU: what looks at a value there raises, as do shapes that values decide."""
    images, ages, index = part
    recipe = recipe_of(name)
    plan = Plan(channels_last=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        with CUDA:
            network = AgeNetwork(CLASSES, recipe.architecture)
            numbers = torch.zeros(len(ages), dtype=torch.int64)
            faces, scaled = torch.zeros(images.shape, dtype=torch.uint8), scaling(CUDA)
        data = loop.TrainingData(faces, numbers, index)
        drawn, *_ = loop._drawn(data, recipe, epoch=1)
        terms = loop._forward(
            network,
            data,
            drawn.numbers,
            drawn.maps,
            None,
            recipe=recipe,
            plan=plan,
            scaled=scaled,
        )
    assert {term.device.type for term in terms.values()} == {"cuda"}
    assert {term.dtype for term in terms.values()} == {torch.float32}


class Looks(TorchDispatchMode):
    """Names what looks at a value, or makes a shape of one: a GPU would be waited for."""

    looking = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "index.Tensor")

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if any(name in function.name() for name in self.looking):
            self.names.append(function.name())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", METHODS)
def test_nor_do_its_gradients(name):
    recipe = recipe_of(name)
    fc = HEADS[recipe.architecture.head](16, CLASSES.number)
    features = torch.randn(12, 16, requires_grad=True)
    ages, rows = torch.arange(12) % 5, torch.arange(6)
    triplets = TripletPositions(rows, rows + 5, rows + 6, rows > 0, rows > 1)
    with Looks() as looks:
        outputs = Outputs(features, *fc(features))
        total_loss(outputs, ages, triplets, recipe.loss, "all")["total"].backward()
    assert looks.names == []
    assert torch.isfinite(features.grad).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", METHODS)
def test_a_methods_recorded_steps_change_not_a_bit(part, name):
    images, ages, index = part
    recipe, found = recipe_of(name, epochs=4), []
    for capture in (False, True):
        network, asked = started(recipe), Acceleration(capture=capture)
        plan = resolve(asked, CUDA, images.nbytes)
        history = loop.train(images, ages, index, network, recipe, device=CUDA, plan=plan)
        found.append((history.drop(columns="seconds"), network.state_dict()))
    (expected, weights), (recorded, own) = found
    assert recorded.equals(expected)
    assert [name for name in weights if not torch.equal(weights[name], own[name])] == []


@pytest.mark.parametrize("triplets", ["explicit", "shared"])
def test_two_views_are_those_of_a_plain_computation(part, triplets):
    """One batch of all: its images in two views, of which the first carries pairs and anchors."""
    images, ages, index = part
    loss = LossWeights(lambda_c=2, lambda_rnc=0.5, margin=0.2)
    recipe = varied(classes=CLASSES, triplets=triplets, loss=loss, batch_size=64, epochs=1, lr=1e-9)
    network = started(recipe)
    order, variation = loop._generators(recipe.seed, 1)
    (batch,) = batches(index, triplets, 64, order)
    twice = torch.from_numpy(np.concatenate([batch.rows, batch.rows]))
    draws = draw(len(twice), images.shape[-1], 32, recipe.augmentation, variation)
    maps = geometry(draws, images.shape[-1], 32)
    with torch.no_grad():
        outputs = started(recipe).train()(sample(images[twice], 32, maps))
    features, classes = outputs.features, torch.from_numpy(CLASSES.index(ages))[twice]
    log_s = outputs.logits.log_softmax(dim=1)
    softmax = -np.mean([log_s[a, classes[a]].item() for a in batch.anchor])
    pairs = zip(batch.anchor[batch.has_positive], batch.positive[batch.has_positive], strict=True)
    similar = [torch.cosine_similarity(features[a], features[p], dim=0).item() for a, p in pairs]
    expected = {
        "softmax": softmax,
        "cosine": 1 - np.mean(similar),
        "rnc": rnc_loss(features, classes, 2.0).item(),
    }
    expected["total"] = expected["softmax"] + 2 * expected["cosine"] + 0.5 * expected["rnc"]
    found = loop.train(images, ages, index, network, recipe, device=CPU).iloc[0]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4)


def test_of_one_view_nothing_changes(part):
    """Losses that need a single view draw the batches and views that they always had."""
    images, _, index = part
    data = loop.TrainingData(images, torch.zeros(32, dtype=torch.int64), index)
    recipe = recipe_of("mv")
    assert views(recipe.loss) == 1
    drawn = [each.batch for each in loop._drawn(data, recipe, epoch=3)]
    order, _ = loop._generators(recipe.seed, 3)
    plain = list(batches(index, "shared", recipe.training.batch_size, order))
    for one, other in zip(drawn, plain, strict=True):
        assert all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(other))


def test_a_recipe_without_the_head_that_its_losses_need_is_refused():
    with pytest.raises(ValueError, match=r"need Architecture\(head='coral'\)"):
        replace(varied(), loss=LossWeights(lambda_coral=1, margin=0))
