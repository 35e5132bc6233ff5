"""The table and the page, from made-up measurements."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.measuring import ROOT, Comparison, Result, exponent, in_turn

FAST = Comparison("speed", [30.0, 10.0, 20.0], [10.0, 5.0, 10.0], "images/s", 1.9, True)
SLOW = Comparison("start", [4.5], [3.0], "s", 1.3, False)
GPU = Comparison("speed", [4000.0], [5000.0], "images/s", 1.9, True, device="cuda")


def test_a_ratio_is_the_median_over_the_pairs() -> None:
    assert FAST.ratio == 2.0
    assert FAST.met
    assert SLOW.ratio == 1.5
    assert not SLOW.met


def test_the_table_has_a_column_a_device_and_a_line_a_comparison() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(report.table([FAST, SLOW, GPU]))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["what", "target", "cpu", "cuda"] in lines
    speed = next(line for line in lines if line[:1] == ["speed"])
    assert speed == [
        *["speed", "≥", "1.9", "2.00", "(20", "/", "10", "images/s)"],
        *["0.80", "*", "(4,000", "/", "5,000", "images/s)"],
    ]
    start = next(line for line in lines if line[:1] == ["start"])
    assert start == ["start", "≤", "1.3", "1.50", "*", "(4.5", "/", "3", "s)"]


def test_the_page_names_command_and_machine_and_is_replaced(tmp_path: Path) -> None:
    results = [Result([FAST], "Speed", ["How it was measured."]), Result([GPU], "GPU")]
    path = tmp_path / "performance.md"
    path.write_text("old")
    report.write(path, report.page(results, ["a machine"], "make bench", "2000-01-01"))
    text = path.read_text(encoding="utf-8")
    assert "`make bench` on 2000-01-01" in text
    assert "- a machine" in text
    assert "| speed | ≥ 1.9 | 2.00 (20 / 10 images/s) | 0.80 *" in text
    assert "## Speed\n\nHow it was measured." in text
    assert [file.name for file in tmp_path.iterdir()] == ["performance.md"]


def test_sections_stay_that_the_new_page_has_not(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text("# Old\n\n## On a GPU\n\nBy hand.\n\n| a |\n\n## Speed\n\nBefore.\n")
    for _ in range(2):
        report.write(path, report.page([Result([FAST], "Speed", ["Now."])], [], "", ""))
        text = path.read_text(encoding="utf-8")
        assert text.endswith("## Speed\n\nNow.\n\n## On a GPU\n\nBy hand.\n\n| a |\n")
        assert "# Old" not in text
        assert "Before." not in text


def test_measures_are_taken_in_turn() -> None:
    calls: list[str] = []

    def measure(name: str) -> float:
        calls.append(name)
        return len(calls)

    assert in_turn(2, lambda: measure("a"), lambda: measure("b")) == [[1, 3], [2, 4]]
    assert calls == ["a", "b", "a", "b"]


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_is_fitted(power: float) -> None:
    sizes = [10, 100, 1000]
    assert exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_peak_memory_counts_what_was_freed_again() -> None:
    # In a process of its own, as the benchmarks measure it: one that has freed much before may give
    # that out again without growing.
    code = (
        "from benchmarks.measuring import seconds_and_peak;"
        "print(*seconds_and_peak(lambda: len(bytearray(50_000_000)), repeats=2))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    seconds, peak = map(float, done.stdout.split())
    assert seconds > 0
    assert 40e6 < peak < 90e6
