"""The one table of ratios, and the page that keeps it."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from benchmarks.measuring import Comparison, Result


def table(comparisons: Sequence[Comparison]) -> Table:
    """Lay out the comparisons, one line each and one column a device."""
    devices = _devices(comparisons)
    drawn = Table(box=box.SIMPLE_HEAD, title="Ours against the reference, each pair in one run")
    drawn.add_column("what")
    drawn.add_column("target", justify="right")
    for device in devices:
        drawn.add_column(device, justify="right")
    for name, target, cells in _lines(comparisons, devices):
        drawn.add_row(name, target, *cells)
    return drawn


def page(results: Sequence[Result], machine: Sequence[str], command: str, date: str) -> str:
    """Write the page in Markdown.

    Args:
        results: Of all benchmarks.
        machine: Lines that describe it.
        command: What made the page.
        date: When.
    """
    comparisons = [comparison for result in results for comparison in result.comparisons]
    devices = _devices(comparisons)
    lines = [
        "# Performance",
        "",
        f"Written by `{command}` on {date}; `make bench` writes it anew, on drawn faces and",
        "made-up tables. Each pair was measured in turn in one run. A ratio is the median over the",
        "pairs; in brackets stand the medians of ours and of the reference.",
        "",
        *[f"- {line}" for line in machine],
        "",
        f"| what | target | {' | '.join(devices)} |",
        f"|---|---|{'---|' * len(devices)}",
        *[
            f"| {name} | {target} | {' | '.join(cells)} |"
            for name, target, cells in _lines(comparisons, devices)
        ],
        "",
        "`*` marks a target that was missed.",
    ]
    for result in results:
        lines += ["", f"## {result.title}", "", *result.details]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Write the page, beside and renamed.

    Sections of the page before that the new one has not stay: they were measured elsewhere, or
    written by hand.
    """
    before = _sections(path.read_text(encoding="utf-8")) if path.is_file() else {}
    new = _sections(text)
    kept = [lines for title, lines in before.items() if title not in new]
    beside = path.with_suffix(".new")
    beside.write_text("\n".join([text, *kept]), encoding="utf-8")
    beside.replace(path)


def _sections(text: str) -> dict[str, str]:
    """Give the sections of a page, by title."""
    parts = [f"## {part.strip()}\n" for part in text.split("\n## ")[1:]]
    return {part.partition("\n")[0]: part for part in parts}


def _devices(comparisons: Sequence[Comparison]) -> list[str]:
    return list(dict.fromkeys(comparison.device for comparison in comparisons))


def _lines(
    comparisons: Sequence[Comparison], devices: Sequence[str]
) -> list[tuple[str, str, list[str]]]:
    """Name, target and a cell for each device, for each thing compared."""
    by_name: dict[str, dict[str, Comparison]] = {}
    for comparison in comparisons:
        by_name.setdefault(comparison.name, {})[comparison.device] = comparison
    return [
        (name, _target(next(iter(found.values()))), [_cell(found.get(d)) for d in devices])
        for name, found in by_name.items()
    ]


def _target(comparison: Comparison) -> str:
    return f"{'≥' if comparison.at_least else '≤'} {comparison.target:g}"


def _cell(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    ours, reference = statistics.median(comparison.ours), statistics.median(comparison.reference)
    missed = "" if comparison.met else " *"
    unit = f" {comparison.unit}" if comparison.unit else ""
    return f"{comparison.ratio:.2f}{missed} ({_number(ours)} / {_number(reference)}{unit})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
