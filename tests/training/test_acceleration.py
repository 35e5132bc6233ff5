"""Tests of the ways to compute: each against the plain float32 loop, and none that waits."""

import dataclasses
import logging

import joblib
import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.network import AgeNetwork, Outputs
from contrastive_age.training import acceleration, loop
from contrastive_age.training.acceleration import Plan, gather, resolve, send, trainings_at_once
from contrastive_age.training.augmentation import frame_size, scaling
from contrastive_age.training.loop import TrainingData, train
from contrastive_age.training.recipe import Acceleration
from contrastive_age.triplets.index import build_index
from training.recipes import SMALL, varied

RECIPE = varied(loss=dataclasses.replace(SMALL.loss, lambda_k=0.5))
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
TERMS = ["total", "softmax", "mean", "variance", "cosine", "triplet", "kl", "kl_printed"]
PLAIN = Plan()
EVERYTHING = Plan("bfloat16", channels_last=True, fused=True, compile=True, residence="host")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def part():
    """Images that show their age by brightness, ages and the index over them."""
    rng = np.random.default_rng(1)
    ages = rng.integers(20, 25, size=20)
    size = frame_size(32)
    images = rng.integers(0, 60, size=(20, 3, size, size)) + (ages - 20)[:, None, None, None] * 45
    return torch.from_numpy(images.astype(np.uint8)), ages, build_index(ages, np.arange(20) % 6)


class SmallNetwork(nn.Module):
    """What the loop needs of a network: features, logits, batch norm, several channels."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.fc = nn.Linear(32, RECIPE.classes.number)

    def forward(self, images):
        features = self.body(images).flatten(1)
        return Outputs(features, self.fc(features))


def small():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return SmallNetwork()


def resnet():
    network = AgeNetwork(RECIPE.classes)
    load_initial_weights(network, RECIPE.classes, None, seed=5)
    return network


def run(part, plan, *, network=None, recipe=RECIPE, **options):
    images, ages, index = part
    network = network or small()
    history = train(
        images,
        ages,
        index,
        network,
        recipe,
        device=CPU,
        plan=plan,
        **options,
    )
    return history.drop(columns="seconds"), network.state_dict()


@dataclasses.dataclass(frozen=True)
class Trained:
    """A training: its losses, its network before and after, and what that gave in each step."""

    losses: np.ndarray
    start: dict[str, torch.Tensor]
    end: dict[str, torch.Tensor]
    outputs: list[Outputs]

    @property
    def path(self):
        """Where all weights went, as one vector."""
        return torch.cat(
            [
                (self.end[name] - tensor).flatten()
                for name, tensor in self.start.items()
                if name.endswith((".weight", ".bias"))
            ]
        ).double()


def watched(part, plan, network, recipe):
    outputs, real = [], loop.total_loss

    def observed(given, *rest, **named):
        outputs.append(Outputs(*(own.detach() for own in given[:2])))
        return real(given, *rest, **named)

    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceleration, "COMPILER", "aot_eager")
        patch.setattr(loop, "total_loss", observed)
        history, end = run(part, plan, network=network, recipe=recipe)
    return Trained(history[TERMS].to_numpy(), start, end, outputs)


def rounding(plan, network):
    """The relative error that rounding may leave in what a network gives.

    The errors of its layers add up at most. In bfloat16 a layer rounds its weights and its results
    to 8 bits, both by half an epsilon at most, and sums in float32. In float32 sums are made in
    another order, and their errors grow with the root of their length.
    """
    layers = [own for own in network.modules() if isinstance(own, nn.Conv2d | nn.Linear)]
    if plan.precision == "bfloat16":
        return len(layers) * torch.finfo(torch.bfloat16).eps
    longest = max(own.weight[0].numel() for own in layers)
    return len(layers) * longest**0.5 * torch.finfo(torch.float32).eps


def apart(found, expected):
    return float((found - expected).norm() / expected.norm())


def assert_outputs_alike(found, expected, error):
    assert len(found.outputs) == len(expected.outputs)
    for own, other in zip(found.outputs, expected.outputs, strict=True):
        assert apart(own.features, other.features) <= error
        assert apart(own.logits, other.logits) <= error
    for name, tensor in expected.end.items():
        if "running" in name:
            assert apart(found.end[name], tensor) <= error, name
    # Some terms are small differences of large values: what is lost in those counts.
    assert (abs(found.losses - expected.losses) <= error * expected.losses[:, :1]).all()


def assert_paths_alike(found, expected, error):
    """A gradient nearer to 0 than its error may change its sign.

    Adam then moves that weight the other way, as far as it does all others.
    """
    mine, other = found.path, expected.path
    assert torch.cosine_similarity(mine, other, dim=0) >= 1 - 2 * error
    assert abs(mine.norm() / other.norm() - 1) <= error


@pytest.mark.parametrize("triplets", ["explicit", "shared"])
def test_faces_on_the_host_change_not_a_bit(part, triplets):
    recipe = varied(RECIPE, triplets=triplets)
    expected, weights = run(part, PLAIN, recipe=recipe)
    found, changed = run(part, Plan(residence="host"), recipe=recipe)
    assert found.equals(expected)
    assert all(torch.equal(changed[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize("triplets", ["explicit", "shared"])
@pytest.mark.parametrize(
    "plan",
    [
        Plan(compile=True),
        Plan(fused=True),
        Plan(channels_last=True),
        Plan(precision="bfloat16"),
        EVERYTHING,
    ],
    ids=["compile", "fused", "channels_last", "bfloat16", "everything"],
)
def test_every_way_trains_like_the_plain_one(part, triplets, plan):
    recipe = varied(RECIPE, triplets=triplets)
    expected = watched(part, PLAIN, small(), recipe)
    found = watched(part, plan, small(), recipe)
    error = rounding(plan, small())
    assert_outputs_alike(found, expected, error)
    assert_paths_alike(found, expected, error)


@pytest.mark.parametrize(
    "plan", [Plan(channels_last=True, fused=True), EVERYTHING], ids=["float32", "everything"]
)
def test_the_first_step_of_a_resnet_is_alike(part, plan):
    recipe = varied(RECIPE, epochs=1, batch_size=20, triplets="shared")
    expected = watched(part, PLAIN, resnet(), recipe)
    found = watched(part, plan, resnet(), recipe)
    assert_outputs_alike(found, expected, rounding(plan, resnet()))


def test_losses_are_exact_whatever_the_network_computes_in(part, monkeypatch):
    seen = []
    real = loop.total_loss
    monkeypatch.setattr(loop, "total_loss", lambda *x, **y: seen.append(x[0]) or real(*x, **y))
    run(part, Plan(precision="bfloat16"))
    assert {x.dtype for outputs in seen for x in outputs[:2]} == {torch.float32}
    # what bfloat16 has computed has 8 bits of mantissa
    assert all(torch.equal(x.logits, x.logits.bfloat16().float()) for x in seen)


@pytest.mark.parametrize("plan", [Plan(fused=True), EVERYTHING], ids=["fused", "everything"])
def test_resumed_it_ends_like_one_never_interrupted(part, tmp_path, monkeypatch, plan):
    monkeypatch.setattr(acceleration, "COMPILER", "aot_eager")
    expected, weights = run(part, plan)

    class KilledError(Exception):
        pass

    def kill(epoch, values):
        if epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        run(part, plan, work_folder=tmp_path, on_epoch=kill)
    trained = []
    found, resumed = run(
        part, plan, work_folder=tmp_path, on_epoch=lambda epoch, values: trained.append(epoch)
    )
    assert trained == [2]
    assert found.equals(expected)
    assert all(torch.equal(resumed[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize(
    ("change", "used"),
    [
        ({"precision": "bfloat16"}, False),
        ({"channels_last": True}, False),
        ({"fused": True}, False),
        ({"compile": True}, False),
        ({"residence": "host"}, True),
    ],
)
def test_a_checkpoint_of_another_arithmetic_is_not_used(
    part, tmp_path, caplog, monkeypatch, change, used
):
    monkeypatch.setattr(acceleration, "COMPILER", "eager")
    run(part, PLAIN, work_folder=tmp_path)
    trained = []
    with caplog.at_level(logging.INFO):
        run(
            part,
            Plan(**change),
            work_folder=tmp_path,
            on_epoch=lambda epoch, values: trained.append(epoch),
        )
    assert trained == ([] if used else [1, 2])
    assert ("made with other data or parameters" in caplog.text) is not used


def test_recorded_steps_are_the_same_arithmetic():
    assert Plan(capture=True).arithmetic == PLAIN.arithmetic


def test_by_default_a_cpu_computes_plainly_but_for_adam():
    assert resolve(Acceleration(), CPU, 10**15) == Plan(fused=True)
    lower = resolve(Acceleration(precision="bfloat16"), CPU, 10**15)
    assert lower == Plan("bfloat16", channels_last=True, fused=True)


@pytest.fixture
def gpu(monkeypatch):
    """As on a GPU with 80 GB, of which 60 are free."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60 * 10**9, 80 * 10**9))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)


@pytest.mark.parametrize(
    ("trainings", "image_bytes", "images", "cores", "at_once"),
    [
        (82, 2 * 10**8, 64, 16, 4),
        (3, 2 * 10**8, 64, 16, 3),
        (82, 2 * 10**8, 64, 7, 3),
        (82, 2 * 10**8, 64, 1, 1),
        # With as many as this the faces of each stay on the GPU.
        (5, 8 * 10**9, 64, 16, 3),
        (5, 10**11, 64, 16, 1),
        # Steps of many images take the memory of others.
        (5, 2 * 10**8, 1024, 16, 2),
    ],
)
def test_as_many_run_at_once_on_a_gpu_as_pay_and_fit(
    gpu, monkeypatch, trainings, image_bytes, images, cores, at_once
):
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    pixels = images * 224**2
    assert trainings_at_once(CUDA, trainings, image_bytes, pixels, "bfloat16") == at_once
    if at_once > 1:
        assert resolve(Acceleration(), CUDA, image_bytes, 1 / at_once).residence == "device"
    assert trainings_at_once(CPU, trainings, image_bytes, pixels) == 1


@pytest.mark.parametrize(
    ("image_bytes", "share", "residence"),
    [
        (30 * 10**9, 1, "device"),
        (30 * 10**9 + 1, 1, "host"),
        (10 * 10**9, 1 / 4, "device"),
        (10 * 10**9 + 1, 1 / 4, "host"),
    ],
)
def test_by_default_a_gpu_takes_what_makes_it_fast(gpu, image_bytes, share, residence):
    expected = Plan("bfloat16", channels_last=True, fused=True, capture=True, residence=residence)
    assert resolve(Acceleration(), CUDA, image_bytes, share) == expected


def test_an_old_gpu_computes_in_float32(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert resolve(Acceleration(), CUDA, 1).precision == "float32"


@pytest.mark.parametrize("device", [CPU, CUDA])
@pytest.mark.parametrize("plan", [PLAIN, EVERYTHING])
def test_what_is_asked_for_wins(gpu, device, plan):
    assert resolve(Acceleration(**dataclasses.asdict(plan)), device, 10**15) == plan


def test_gathered_faces_are_the_rows_in_their_order():
    images = torch.arange(5 * 3 * 2 * 2, dtype=torch.uint8).reshape(5, 3, 2, 2)
    rows = np.array([4, 0, 0, 2])
    assert torch.equal(gather(images, rows, CPU), images[torch.from_numpy(rows)])
    assert gather(images, rows[:0], CPU).shape == (0, 3, 2, 2)


class Copies(TorchDispatchMode):
    """Keeps what is copied between devices, and how often pinned memory was asked for."""

    def __init__(self):
        super().__init__()
        self.sent, self.fetched, self.pinned = [], [], 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.ops.aten._to_copy.default and kwargs.get("device") is not None:
            route = args[0].device.type, kwargs["device"].type
            if route == ("cpu", "cuda"):
                self.sent.append(kwargs.get("non_blocking", False))
            if route == ("cuda", "cpu"):
                self.fetched.append(function)
        self.pinned += bool(kwargs.get("pin_memory"))
        return function(*args, **kwargs)


@pytest.mark.parametrize("residence", ["device", "host"])
@pytest.mark.parametrize("triplets", ["explicit", "shared"])
def test_a_step_never_waits_for_a_gpu(part, residence, triplets):
    """On a pretended GPU: what looks at a value there raises, as do mixed-up devices."""
    images, ages, index = part
    plan = Plan(channels_last=True, residence=residence)
    with FakeTensorMode(allow_non_fake_inputs=True):
        with CUDA:
            network = AgeNetwork(RECIPE.classes)
            age_index = torch.zeros(len(ages), dtype=torch.int64)
            faces = torch.zeros(images.shape, dtype=torch.uint8)
            scaled = scaling(CUDA)
        data = TrainingData(faces if residence == "device" else images, age_index, index)
        recipe = varied(RECIPE, triplets=triplets)
        with Copies() as epoch:
            drawn, *_ = loop._drawn(data, recipe, epoch=1)
        with Copies() as step:
            on_host = residence == "host"
            terms = loop._forward(
                network,
                data,
                drawn.numbers,
                drawn.maps,
                gather(images, drawn.batch.rows, CUDA) if on_host else None,
                recipe=recipe,
                plan=plan,
                scaled=scaled,
            )
    assert {term.device.type for term in terms.values()} == {"cuda"}
    # The numbers of all batches and the maps of all views once an epoch; faces from the host.
    assert epoch.sent == [True] * 2
    assert step.sent == [True] * on_host
    assert (epoch.pinned, step.pinned) == (2, on_host)
    assert epoch.fetched == step.fetched == []


def test_the_pretended_gpu_notices_who_looks():
    with FakeTensorMode(), pytest.raises(Exception, match="_local_scalar_dense"):
        send(torch.ones(1), CUDA).item()
