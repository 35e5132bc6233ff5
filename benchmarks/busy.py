"""How long the demo takes beside busy processes, as a share of its time on a quiet machine.

    python -m benchmarks.busy --beside 0 1 4

runs `kedro run --env=demo` each time in a folder of its own. Half an hour on two cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import ROOT
from contrastive_age.commands.project_files import project_files

SPIN = "while True: pass"


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep as many processes busy, each on one thread."""
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(number)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def demo(arguments: Sequence[str] = ()) -> float:
    """Run the demo from the first drawn face to the last figure; give the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        for path in project_files(ROOT):
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / path).read_bytes())
        (Path(folder) / "conf" / "local").mkdir(exist_ok=True)
        started = time.time()
        subprocess.run(
            [sys.executable, "-m", "kedro", "run", "--env=demo", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path(folder) / "src")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return time.time() - started


def main() -> None:
    """Print a line for each number of busy processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=int, nargs="+", default=[0, 1, 4])
    parser.add_argument("--params", default="", help="as `kedro run` takes them")
    chosen = parser.parse_args()
    arguments = [f"--params={chosen.params}"] if chosen.params else []
    first = None
    for number in chosen.beside:
        with busy(number):
            seconds = demo(arguments)
        first = first or seconds
        print(f"beside {number}: {seconds:.0f} s, {seconds / first:.2f} of the first", flush=True)


if __name__ == "__main__":
    main()
