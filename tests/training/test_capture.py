"""Tests of recorded steps: when they are recorded and, on a GPU, that they change not a bit."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from contrastive_age.model.ages import AgeClasses
from contrastive_age.model.architecture import DEFAULT, Architecture
from contrastive_age.model.initialisation import load_initial_weights
from contrastive_age.model.network import AgeNetwork
from contrastive_age.training import capture
from contrastive_age.training.acceleration import resolve
from contrastive_age.training.augmentation import frame_size
from contrastive_age.training.capture import UNRECORDED, Steps, adam, load_adam, set_rate
from contrastive_age.training.loop import train
from contrastive_age.training.recipe import TEST, Acceleration
from contrastive_age.training.watching import Watched
from contrastive_age.triplets.index import build_index
from training.recipes import varied

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CLASSES = AgeClasses(20, 29)
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


class Pretended:
    """In place of CUDA graphs: keeps what is asked of them, and computes nothing."""

    def __init__(self, monkeypatch):
        self.recorded, self.replayed = [], 0
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: self)
        monkeypatch.setattr(torch.cuda, "graph", self.record)

    @contextmanager
    def record(self, graph, **options):
        self.recorded.append(options)
        yield

    def replay(self):
        self.replayed += 1

    def pool(self):
        return (0, 1)


@pytest.fixture
def pretended(monkeypatch):
    return Pretended(monkeypatch)


def test_a_step_is_recorded_once_its_form_was_met_before(pretended):
    seen = []
    steps = Steps(lambda *inputs: seen.append(inputs) or inputs[0] + 1, capture=True)
    for number in range(5):
        steps(torch.full((3,), number), torch.zeros(2))
        steps(torch.full((4,), number), torch.zeros(2))
    for _ in range(UNRECORDED):
        steps(torch.zeros(3), torch.zeros(9))  # a form that is rare
    lengths = [(len(inputs[0]), len(inputs[1])) for inputs in seen]
    assert sorted(lengths) == [(3, 2)] * 3 + [(3, 9)] * 2 + [(4, 2)] * 3
    assert pretended.replayed == 2 * (5 - UNRECORDED)
    # All share their memory, and other threads may go on.
    alike = {"capture_error_mode": "thread_local"}
    assert pretended.recorded == [{"pool": None} | alike, {"pool": (0, 1)} | alike]
    # A recording reads its inputs where it found them first.
    assert seen[UNRECORDED * 2][0].tolist() == [4, 4, 4]


def test_no_more_forms_are_recorded_than_are_kept(pretended, monkeypatch):
    monkeypatch.setattr(capture, "MOST_RECORDED", 1)
    steps = Steps(lambda tensor: tensor, capture=True)
    for _ in range(UNRECORDED + 3):
        steps(torch.zeros(3))
        steps(torch.zeros(4))  # its turn comes when there is no room
    assert len(pretended.recorded) == 1
    assert pretended.replayed == 3


def test_without_recording_a_step_is_called_as_it_is(pretended):
    given = torch.zeros(3)
    steps = Steps(lambda tensor: tensor, capture=False)
    assert all(steps(given) is given for _ in range(9))
    assert pretended.recorded == []


def test_a_rate_is_a_number_on_the_cpu_and_is_set():
    optimiser = adam([torch.nn.Parameter(torch.zeros(2))], 0.5, 0, fused=False, device=CPU)
    set_rate(optimiser, 0.25)
    assert optimiser.param_groups[0]["lr"] == 0.25
    assert not optimiser.param_groups[0]["capturable"]
    other = adam([torch.nn.Parameter(torch.zeros(2))], 0.5, 0, fused=False, device=CPU)
    load_adam(other, optimiser.state_dict())
    set_rate(other, 0.125)
    assert other.param_groups[0]["lr"] == 0.125


def test_a_state_from_a_gpu_goes_on_on_a_cpu_with_its_moments():
    weight = torch.nn.Parameter(torch.ones(2))
    optimiser = adam([weight], 0.5, 0, fused=False, device=CPU)
    weight.grad = torch.tensor([1.0, 2.0])
    optimiser.step()
    state, before = optimiser.state_dict(), optimiser.state[weight]["exp_avg"].clone()
    # As a GPU leaves it: recorded steps take their rate from a tensor.
    state["param_groups"][0] |= {"lr": torch.tensor(0.5), "capturable": True, "fused": True}
    other = adam([weight], 0.5, 0, fused=False, device=CPU)
    load_adam(other, state)
    other.step()
    moments = other.state[weight]["exp_avg"]
    torch.testing.assert_close(moments, 0.9 * before + 0.1 * weight.grad)
    assert not other.param_groups[0]["capturable"]


def test_only_a_gpu_records(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**9))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert resolve(Acceleration(), CUDA, 1).capture
    assert not resolve(Acceleration(capture=False), CUDA, 1).capture
    assert not resolve(Acceleration(capture=True), CPU, 1).capture


DROPOUT = Architecture(head="dropout")


class KilledError(Exception):
    pass


def trained(
    triplets="shared",
    capture=True,
    epochs=6,
    precision="auto",
    residence="auto",
    architecture=DEFAULT,
    changed=None,
    **options,
):
    """The losses and weights of a training on the GPU."""
    rng = np.random.default_rng(1)
    ages, size = rng.integers(20, 30, 90), frame_size(64)
    images = torch.from_numpy(rng.integers(0, 256, (90, 3, size, size), np.uint8))
    network = AgeNetwork(CLASSES, architecture)
    load_initial_weights(network, CLASSES, None, seed=5)
    asked = Acceleration(precision=precision, capture=capture, residence=residence)
    history = train(
        images,
        ages,
        build_index(ages, np.arange(90) % 20),
        network,
        varied(
            classes=CLASSES,
            triplets=triplets,
            epochs=epochs,
            batch_size=16,
            image_size=64,
            schedule="onecycle",
            **changed or {},
        ),
        device=CUDA,
        plan=resolve(asked, CUDA, images.nbytes),
        **options,
    )
    return history.drop(columns="seconds"), network.state_dict()


def assert_same(found, expected):
    assert found[0].equals(expected[0])
    different = [
        name for name, value in expected[1].items() if not torch.equal(found[1][name], value)
    ]
    assert different == []


@on_a_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("triplets", ["explicit", "shared"])
def test_recorded_steps_change_not_a_bit(triplets, precision):
    expected = trained(triplets, capture=False, precision=precision)
    assert_same(trained(triplets, capture=False, precision=precision), expected)
    assert_same(trained(triplets, precision=precision), expected)


@on_a_gpu
def test_faces_on_the_host_change_not_a_bit_either():
    assert_same(trained(residence="host"), trained())


@on_a_gpu
def test_recorded_steps_draw_what_others_draw():
    expected = trained(capture=False, architecture=DROPOUT)
    assert_same(trained(architecture=DROPOUT), expected)
    assert not trained(capture=False)[0].equals(expected[0])


@on_a_gpu
@pytest.mark.parametrize("architecture", [DEFAULT, DROPOUT])
def test_resumed_on_a_gpu_it_ends_like_one_never_interrupted(tmp_path, architecture):
    def kill(epoch, values):
        if epoch == 4:
            raise KilledError

    with pytest.raises(KilledError):
        trained(work_folder=tmp_path, on_epoch=kill, architecture=architecture)
    resumed = trained(work_folder=tmp_path, architecture=architecture)
    assert_same(resumed, trained(architecture=architecture))


@on_a_gpu
def test_recorded_steps_average_weights_as_others_do():
    changed = {"average": 0.9, "reweight": "lds", "head_epochs": 4}
    expected = trained(capture=False, changed=changed)
    assert_same(trained(changed=changed), expected)
    assert not torch.equal(expected[1]["fc.weight"], trained()[1]["fc.weight"])


@on_a_gpu
def test_looking_at_faces_between_recorded_steps_changes_not_a_bit():
    rng = np.random.default_rng(2)
    images = torch.from_numpy(rng.integers(0, 256, (9, 3, 73, 73), np.uint8))
    history, network = trained(watched={TEST: Watched(images, rng.integers(20, 30, 9))})
    assert_same((history.drop(columns=TEST), network), trained())
