"""Convolutions on a GPU keep float32's bits while they are asked to, and only then."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from contrastive_age.float32 import exact

CUDNN = torch.backends.cudnn
SWITCHES = ("enabled", "benchmark", "deterministic", "allow_tf32")


def switches() -> dict[str, bool]:
    return {name: getattr(CUDNN, name) for name in SWITCHES}


@pytest.mark.parametrize("benchmarking", [True, False])
def test_only_tf32_is_switched_off_and_only_in_the_block(benchmarking: bool) -> None:
    before = CUDNN.benchmark
    CUDNN.benchmark = benchmarking
    try:
        outside = switches()
        with exact(torch.device("cuda")):
            assert switches() == outside | {"allow_tf32": False}
        assert switches() == outside
    finally:
        CUDNN.benchmark = before


def test_a_cpu_has_no_switch() -> None:
    outside = switches()
    with exact(torch.device("cpu")):
        assert switches() == outside


def test_threads_take_turns() -> None:
    order: list[str] = []
    inside = threading.Event()

    def other() -> None:
        inside.wait()
        with exact(torch.device("cuda")):
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    with exact(torch.device("cuda")), exact(torch.device("cuda")):
        inside.set()
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
    assert CUDNN.allow_tf32


def test_cublas_is_given_what_determinism_takes() -> None:
    script = "import os, contrastive_age; print(os.environ['CUBLAS_WORKSPACE_CONFIG'])"
    for given, expected in (({}, ":4096:8"), ({"CUBLAS_WORKSPACE_CONFIG": ":16:8"}, ":16:8")):
        environment = {k: v for k, v in os.environ.items() if k != "CUBLAS_WORKSPACE_CONFIG"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment | given,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected
