"""Pairs of measurements made in one run, peak memory, and how fast a cost grows."""

import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Comparison:
    """One line of the table: ours against a reference, measured in turn in one run.

    Attributes:
        name: What is compared.
        ours: Our measurements, in the order they were made.
        reference: What each of them is held against; a fixed value where it is a limit.
        unit: Of both.
        target: Bound of the ratio of ours to the reference.
        at_least: Whether the target is a lower bound, as for speeds; else an upper one.
        device: Where it was measured.
    """

    name: str
    ours: Sequence[float]
    reference: Sequence[float]
    unit: str
    target: float
    at_least: bool
    device: str = "cpu"

    @property
    def ratio(self) -> float:
        """The median over the pairs."""
        return statistics.median(a / b for a, b in zip(self.ours, self.reference, strict=True))

    @property
    def met(self) -> bool:
        """Whether the ratio keeps to the target."""
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


@dataclass(frozen=True)
class Result:
    """What a benchmark found.

    Attributes:
        comparisons: Its lines of the table.
        title: Heading of the details.
        details: Markdown: how it was measured, and more numbers than the table holds.
    """

    comparisons: list[Comparison]
    title: str
    details: list[str] = field(default_factory=list)


def in_turn(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Take several measurements in turn, so that a passing load falls on all of them.

    Args:
        rounds: How often each is taken.
        measures: Give a number each.

    Returns:
        The numbers of each, in the order of `measures`.
    """
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return [list(values) for values in zip(*taken, strict=True)]


def seconds_of(run: Callable[[], object]) -> float:
    """Time a function that takes no arguments."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Fit the k of cost = c size^k, by least squares on the logarithms of both."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def seconds_and_peak(run: Callable[[], object], repeats: int) -> tuple[float, int]:
    """Measure how long a function takes, and the memory it needs at most.

    Args:
        run: Called without arguments; its result is dropped.
        repeats: How often; the median time counts.

    Returns:
        Seconds, and bytes above those resident before the first call.
    """
    gc.collect()
    before = _restart_peak()
    started = time.perf_counter()
    run()
    seconds = [time.perf_counter() - started]
    peak = _peak() - before
    for _ in range(repeats - 1):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), peak


def _restart_peak() -> int:
    """Let the peak be counted from now on, where the system can do that; give the bytes in use."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    # getrusage alone would do, but on Linux a child inherits the peak of the parent it came from
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(name)]
    return int(line.split()[1]) * 1024


def in_child(module: str, *arguments: str) -> Any:
    """Run a module of ours in a process of its own.

    Args:
        module: Such as `benchmarks.growth`.
        arguments: Of its command line.

    Returns:
        The JSON in the last line that it prints.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def environment(source: Path = ROOT / "src", **more: str) -> Mapping[str, str]:
    """The environment of a child that imports our code, or that of another source folder."""
    return os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{ROOT}"} | more
