"""Which runs are abandoned is told by the process that began them, and only for certain."""

import os
import socket

import psutil
import pytest

from contrastive_age.tracking.run_tree import has_ended, sweep_title, this_process


def test_a_process_that_runs_has_not_ended() -> None:
    assert not has_ended(this_process())


def test_a_process_that_died_has_ended_even_before_it_is_taken_note_of() -> None:
    child = os.fork()
    if child == 0:
        os.read(os.pipe()[0], 1)
        os._exit(0)
    started = f"{psutil.Process(child).create_time():.0f}"
    name = f"{socket.gethostname()}/{child}/{started}"
    assert not has_ended(name)
    os.kill(child, 9)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert has_ended(name)
    os.waitpid(child, 0)
    assert has_ended(name)


def test_a_number_given_to_another_process_since_is_not_taken_for_the_first() -> None:
    host, number, started = this_process().rsplit("/", 2)
    assert has_ended(f"{host}/{number}/{int(started) - 3600}")


@pytest.mark.parametrize("name", ["", "elsewhere/1/2", "elsewhere", f"{socket.gethostname()}/x/1"])
def test_what_cannot_be_judged_from_here_may_still_run(name: str) -> None:
    assert not has_ended(name)


def test_a_sweep_is_named_by_what_is_varied() -> None:
    axes = {
        "loss.lambda_c": [0, 2, 4],
        "seed": range(2),
        "model.weights": ["a/b.pth", "c/d.pth"] * 2,
    }
    assert sweep_title(axes) == "sweep λc=0,2,4 × seed=0,1 × 4 values of weights"
