"""Each benchmark in its smallest form: it runs, and says something of everything it compares."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from benchmarks import (
    alignment,
    busy,
    growth,
    loop_on_gpu,
    made_up,
    onnx_speed,
    parity,
    pull,
    shared_batches,
    shared_on_fgnet,
    startup,
    training_loop,
)
from benchmarks.bare import Bare
from benchmarks.measuring import Result
from contrastive_age.drawn.face import draw_face
from contrastive_age.sources.reading import check_samples
from contrastive_age.triplets.index import build_index
from contrastive_age.triplets.sampling import Mode, batches

pytestmark = pytest.mark.endurance

TINY = training_loop.Size(rows=8, epochs=1, batch_size=4, image_size=32, rounds=1)


def _check(result: Result, lines: int) -> None:
    assert len(result.comparisons) == lines
    assert all(math.isfinite(comparison.ratio) for comparison in result.comparisons)
    assert result.title
    assert result.details


def test_shared_batches() -> None:
    _check(shared_batches.run(TINY), lines=1)


def test_training_loop() -> None:
    _check(training_loop.run(TINY), lines=2)


@pytest.mark.parametrize("mode", ["explicit", "shared"])
def test_the_images_of_an_epoch_are_counted(mode: Mode) -> None:
    index = build_index([3, 3, 3, 40, 40, 41], [0, 1, 1, 2, 3, 3])
    made = batches(index, mode, 2, np.random.default_rng(0))
    assert loop_on_gpu.images_an_epoch(index, mode) == sum(len(batch.rows) for batch in made)


def test_a_gpu_is_measured_over_whole_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    bare = Bare(32, 4, 10, torch.device("cpu"), tuned=False)
    steps: list[int] = []
    monkeypatch.setattr(bare, "step", steps.append)
    training_loop.one_after_the_other(lambda: None, bare, images=10, a_step=4)
    assert steps == [4, 4, 4]


def test_the_loop_alone_as_on_a_gpu() -> None:
    """Without one nothing is recorded, and no kernels are seen."""
    size = loop_on_gpu.Size(rows=4, epochs=3, batch_size=4, image_sizes=(32,), steps=1)
    found = loop_on_gpu.run(size, "cpu")
    _check(found, lines=6)
    names = ("ours, recorded", "ours, launched", "tuned ResNet-18", "plain ResNet-18")
    assert all(sum(name in line for line in found.details) == 2 for name in names)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_the_loop_alone_on_a_gpu() -> None:
    size = loop_on_gpu.Size(rows=80, epochs=6, batch_size=8, image_sizes=(64,))
    device = torch.device("cuda")
    ours = loop_on_gpu.ours(size, 64, "shared", device, capture=True)
    tuned = loop_on_gpu.reference(64, 8, device, 5, tuned=True)
    assert 0 < tuned.kernels < ours.kernels
    assert 0 < tuned.busy < ours.busy


def test_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_this_process(_: str, *arguments: str) -> dict[str, float]:
        if arguments[0] == "--faces":
            return vars(growth.measure_faces(10))
        values = dict(zip(arguments[::2], arguments[1::2], strict=True))
        return vars(growth.measure(values["--task"], int(values["--rows"]), 1))

    monkeypatch.setattr(growth, "in_child", in_this_process)
    _check(growth.run(sizes=(200, 400), repeats=1, face_rows=10), lines=len(growth.TASKS) + 1)


def test_growth_in_a_process_of_its_own() -> None:
    cost = growth.in_child("benchmarks.growth", "--task", "random split", "--rows", "200")
    assert set(cost) == {"seconds", "peak"}


def test_made_up_samples_keep_the_contract() -> None:
    samples = made_up.samples(21)
    check_samples(samples)
    assert len(samples) == 21
    assert samples["identity"].nunique() == 6


def test_alignment() -> None:
    _check(alignment.run(photos=1, rounds=1), lines=3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_alignment_on_the_gpu() -> None:
    _check(alignment.on_gpu(photos=20), lines=1)


def test_parity_with_the_package() -> None:
    found = parity.compare([draw_face(number, 30, size=240) for number in range(3)])
    assert (found.photos, found.faces, found.same_count, found.close) == (3, 3, 3, 1.0)
    assert found.farthest < parity.CLOSE


def test_busy_processes_are_there_and_gone() -> None:
    def others() -> int:
        children = psutil.Process().children()
        return sum(busy.SPIN in child.cmdline() for child in children)

    with busy.busy(2):
        assert others() == 2
    assert others() == 0


def test_startup() -> None:
    _check(startup.run(rounds=1), lines=2)


def test_fgnet_commands_and_table(tmp_path: Path) -> None:
    given = shared_on_fgnet.parameters(
        shared_on_fgnet.Run("shared", "all", 8, 2), tmp_path, tmp_path / "weights.pth"
    )
    (params,) = [part for part in shared_on_fgnet.command(given) if part.startswith("--params=")]
    for part in (
        f"raw_root={tmp_path}",
        "seed=2",
        "triplets.mode=shared",
        "training.image_size=48",
    ):
        assert part in params
    outcomes = [
        shared_on_fgnet.Outcome(shared_on_fgnet.Run("shared", "all", 8, 0), 5.0, [4.0, 6.0]),
        shared_on_fgnet.Outcome(shared_on_fgnet.Run("shared", "all", 8, 1), 5.2, [5.2, 5.2]),
        shared_on_fgnet.Outcome(shared_on_fgnet.Run("explicit", "anchor", 8, 0), 5.3, [5.3, 5.3]),
    ]
    text = shared_on_fgnet.report(outcomes)
    assert "| shared, all supervised, 8 epochs | 0 | 5.000 | 4.00, 6.00 |" in text
    assert "shared, all supervised, 8 epochs: mean 5.100, spread 0.200 over 2 seeds" in text
    assert "explicit, anchor supervised, 8 epochs: +0.200 years against it" in text


def test_fgnet_metrics_are_found_by_the_key_of_their_setting(tmp_path: Path) -> None:
    found = {
        shared_on_fgnet.metrics_file(shared_on_fgnet.parameters(run, tmp_path, tmp_path))
        for run in shared_on_fgnet.RUNS
    }
    assert len(found) == len(shared_on_fgnet.RUNS)
    assert {path.parts[-3] for path in found} == {"fgnet_se"}


def test_onnx_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def run(self, _: None, feed: dict[str, np.ndarray]) -> int:
            return len(feed["faces"])

    # The export is slow, and tested elsewhere.
    monkeypatch.setattr(onnx_speed, "export_onnx", lambda *_: None)
    monkeypatch.setattr(onnx_speed, "open_session", lambda *_, **__: Session())
    speeds = onnx_speed.measure(32, (1, 2), rounds=1, seconds=0)
    assert [(own.image_size, own.batch) for own in speeds] == [(32, 1), (32, 2)]
    assert all(own.torch[0] > own.onnx[0] > 0 for own in speeds)
    assert onnx_speed.Speed(64, 1, [2.0, 4.0], [1.0, 2.0]).row == "| 64 | 1 | 3.0 | 1.5 | 2.00 |"
    assert "| 32 | 2 |" in onnx_speed.report(speeds)


def test_pull() -> None:
    people = pull.training_part(*pull.drawn_people(8, 48), image_size=32)
    recipe = replace(TINY.recipe("shared", epochs=1), classes=pull.CLASSES)
    pulls = pull.run(people, recipe, None)
    assert list(pulls) == ["at the start", "after MV", "after MV + Triplet"]
    for own in pulls.values():
        assert all(0 < value < math.inf for value in own.by_parameters.values())
        assert own.by_logits["cosine"] == 0 < own.by_logits["kl_printed"]
        shares = [own.active[margin] for margin in pull.MARGINS]
        assert shares == sorted(shares)
    # Untrained, all softmax vectors are alike.
    assert pulls["at the start"].active[1] == 1
    text = pull.report(pulls)
    assert "| KL divergence | 30 |" in text
    assert len([line for line in text.splitlines() if line.startswith("| 0.")]) == 4


def test_a_pull_is_the_norm_of_a_gradient() -> None:
    x, y = torch.tensor([3.0, 1.0], requires_grad=True), torch.ones(2, requires_grad=True)
    assert pull.gradient_norm(2 * x.square().sum(), [x, y]) == pytest.approx(4 * 10**0.5)
