"""Run all benchmarks, print the table of ratios and write docs/performance.md.

python -m benchmarks                  everything, a quarter of an hour on two cores
python -m benchmarks --quick          the same, smaller: to see that it works
python -m benchmarks --only startup   one topic; the page is left alone
"""

import argparse
import datetime
import logging
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from benchmarks import alignment, growth, machine, report, startup
from benchmarks.measuring import ROOT, Result

PAGE = ROOT / "docs" / "performance.md"

logger = logging.getLogger("benchmarks")


def topics(quick: bool, ten_million: bool) -> dict[str, Callable[[], list[Result]]]:
    """Give what can be run, by name; torch is imported by those that need it.

    Args:
        quick: Whether all is made small.
        ten_million: Whether triplets are measured at ten million rows, too.
    """

    def on_each_device(module: str) -> Callable[[], list[Result]]:
        def run() -> list[Result]:
            from benchmarks import shared_batches, training_loop

            size = training_loop.Size(rows=128, rounds=1) if quick else None
            chosen = {"shared_batches": shared_batches, "training_loop": training_loop}[module]
            return [chosen.run(size, device) for device in machine.devices()]

        return run

    def loop_alone() -> Result:
        from benchmarks import loop_on_gpu

        return loop_on_gpu.run(loop_on_gpu.Size(rows=640) if quick else None)

    return {
        "startup": lambda: [startup.run(rounds=2 if quick else 5)],
        "growth": lambda: [growth.run(repeats=1 if quick else 3, ten_million=ten_million)],
        "alignment": lambda: [
            alignment.run(32, 1) if quick else alignment.run(),
            *(alignment.on_gpu() for device in machine.devices() if device == "cuda"),
        ],
        "shared_batches": on_each_device("shared_batches"),
        "training_loop": on_each_device("training_loop"),
        "loop_on_gpu": lambda: [loop_alone() for device in machine.devices() if device == "cuda"],
    }


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and few repeats")
    parser.add_argument("--ten-million", action="store_true", help="triplets at 10 million rows")
    parser.add_argument("--only", nargs="+", choices=topics(False, False), metavar="TOPIC")
    parser.add_argument("--output", type=Path, help=f"the page; else {PAGE.relative_to(ROOT)}")
    chosen = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logger.setLevel(logging.INFO)

    runs = topics(chosen.quick, chosen.ten_million)
    results: list[Result] = []
    for name in chosen.only or runs:
        logger.info("%s ...", name)
        results += runs[name]()
    comparisons = [comparison for result in results for comparison in result.comparisons]
    console = Console()
    console.print(report.table(comparisons))
    for result in results:
        console.print(Markdown("\n".join([f"## {result.title}", "", *result.details])))
    path = chosen.output or (None if chosen.only else PAGE)
    if path is not None:
        date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        report.write(path, report.page(results, machine.describe(), _command(chosen), date))


def _command(chosen: argparse.Namespace) -> str:
    flags = [
        f"--{name.replace('_', '-')}" for name in ("quick", "ten_million") if vars(chosen)[name]
    ]
    return " ".join(
        ["python -m benchmarks", *flags, *(["--only", *chosen.only] if chosen.only else [])]
    )


if __name__ == "__main__":
    main()
