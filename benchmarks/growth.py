"""How time and memory grow with the rows, for all that depends on a whole data set.

Every measurement is taken in a process of its own, on made-up tables in the form of MORPH II's,
after a run on a small table that imports and warms what is needed.
"""

import argparse
import hashlib
import itertools
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks import made_up
from benchmarks.measuring import Comparison, Result, exponent, in_child, seconds_and_peak

SIZES = (10_000, 100_000, 1_000_000)
TEN_MILLION = 10_000_000
MILLION = 1_000_000
MORPH_ROWS = 55_134
WARM_UP_ROWS = 400
MOST_EXPONENT = 1.1
MOST_SECONDS = 2.0
MOST_BYTES = 200e6
MOST_OF_FACES = 0.02
"""Part of the face array that may be in memory while a chunk of it is read."""
FACES_CHUNK = 256

Work = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """What a task took at one size: seconds, and bytes above what its inputs take."""

    seconds: float
    peak: int


def _triplets(mode: Literal["explicit", "shared"]) -> Callable[[int], Work]:
    def make(rows: int) -> Work:
        from contrastive_age.triplets.index import build_index
        from contrastive_age.triplets.sampling import batches

        table = made_up.samples(rows)
        ages, identities = table["age"].to_numpy(), table["identity"].to_numpy()

        def run() -> None:
            index = build_index(ages, identities)
            for _ in batches(index, mode, 64, np.random.default_rng(0)):
                pass

        return run

    return make


def _random_split(rows: int) -> Work:
    from contrastive_age.protocols import splits

    table = made_up.samples(rows)
    return lambda: splits.random_split(table, 5, seed=0)


def _subject_exclusive(rows: int) -> Work:
    from contrastive_age.protocols import splits

    table = made_up.samples(rows)
    return lambda: splits.subject_exclusive(table, 5, seed=0)


def _leave_one_person_out(rows: int) -> Work:
    from contrastive_age.protocols import splits

    table = made_up.samples(rows)
    return lambda: splits.leave_one_person_out(table)


def _leakage(rows: int) -> Work:
    from contrastive_age.protocols import leakage, splits

    table = made_up.samples(rows)
    folds = splits.random_split(table, 5, seed=0)
    alone = np.arange(rows)
    pairs = pd.DataFrame({"first": alone[:0], "second": alone[:0], "how": "bytes"})
    return lambda: leakage.audit_leakage(folds, table, pairs, alone, apart=False)


def _audit(rows: int) -> Work:
    from contrastive_age.sources import audit, reading

    table = made_up.samples(rows)
    digests = [hashlib.sha256(str(row).encode()).hexdigest() for row in range(rows)]
    files = table[["path"]].assign(size=1, mtime_ns=1, digest=digests, problem="", note="")
    rejected = pd.DataFrame({"path": [], "reason": []}, dtype="str")
    found = reading.Reading(table, rejected)
    return lambda: audit.audit(found, files, max_span=6)


def _evaluation(rows: int) -> Work:
    from contrastive_age.evaluation import metrics
    from contrastive_age.protocols import splits

    folds = splits.random_split(made_up.samples(rows), 5, seed=0)
    rng = np.random.default_rng(0)
    predictions = folds.assign(
        predicted_age=folds["age"] + rng.normal(0, 3, rows), predicted_std=rng.random(rows)
    )

    def run() -> None:
        metrics.check_predictions(predictions, folds)
        metrics.summarise(predictions, mae_constant=9.0)

    return run


TRIPLETS = "triplet index and an epoch"
TASKS: dict[str, Callable[[int], Work]] = {
    f"{TRIPLETS}, explicit": _triplets("explicit"),
    f"{TRIPLETS}, shared": _triplets("shared"),
    "random split": _random_split,
    "subject-exclusive split": _subject_exclusive,
    "leave-one-person-out split": _leave_one_person_out,
    "leakage audit": _leakage,
    "audit of labels": _audit,
    "evaluation": _evaluation,
}


def measure(task: str, rows: int, repeats: int) -> Cost:
    """Take one measurement in this process.

    Args:
        task: A key of `TASKS`.
        rows: Of the table.
        repeats: How often; the median time counts, and the first run's memory.
    """
    make = TASKS[task]
    make(min(rows, WARM_UP_ROWS))()
    return Cost(*seconds_and_peak(make(rows), repeats))


def measure_faces(rows: int) -> Cost:
    """Open an array of `rows` faces, a file full of holes, and read one chunk for training."""
    from contrastive_age.faces import store
    from contrastive_age.faces.alignment import DEFAULT_COVERAGE
    from contrastive_age.training.augmentation import prepare

    with tempfile.TemporaryDirectory() as folder:
        small, path = Path(folder) / "small.npy", Path(folder) / "faces.npy"
        for file, count in ((small, 2), (path, rows)):
            write_hollow_faces(file, count)

        def run(file: Path, count: int) -> None:
            samples = pd.DataFrame({"sample_id": [str(row) for row in range(count)]})
            samples.attrs["photos"] = store.photos_digest(samples["sample_id"], [""] * count)
            faces = store.open_faces(file, samples, store.Wanted(DEFAULT_COVERAGE))
            chosen = np.linspace(0, count - 1, min(count, FACES_CHUNK)).astype(np.int64)
            prepare(faces, chosen, 64)

        run(small, 2)
        return Cost(*seconds_and_peak(lambda: run(path, rows), repeats=1))


def write_hollow_faces(path: Path, rows: int) -> None:
    """Write a face file as the alignment does, but leave the faces out: they read as black."""
    from contrastive_age.faces import array_file, store
    from contrastive_age.faces.alignment import DEFAULT_COVERAGE
    from contrastive_age.files import fingerprint
    from contrastive_age.provenance import Record

    labels = np.zeros(rows, array_file.LABEL)
    labels["sample"] = [fingerprint(str(row)).encode() for row in range(rows)]
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *array_file.FACE_SHAPE)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.seek(rows * array_file.FACE_BYTES, 1)
        np.lib.format.write_array(file, labels)
        record = Record(store.Wanted(DEFAULT_COVERAGE).decided_by).document
        np.lib.format.write_array(file, np.frombuffer(json.dumps(record).encode(), np.uint8))


def run(
    sizes: Sequence[int] = SIZES,
    repeats: int = 3,
    face_rows: int = MORPH_ROWS,
    ten_million: bool = False,
) -> Result:
    """Measure every task at every size, and the face array.

    Args:
        sizes: Rows, growing; the limits on seconds and memory hold for `MILLION`.
        repeats: Runs whose median time counts.
        face_rows: Faces in the array.
        ten_million: Whether triplets are measured at `TEN_MILLION` rows, too.
    """
    costs: dict[str, dict[int, Cost]] = {task: {} for task in TASKS}
    wanted = list(itertools.product(TASKS, sizes))
    if ten_million:
        wanted += [(task, TEN_MILLION) for task in TASKS if task.startswith(TRIPLETS)]
    for task, rows in wanted:
        times = repeats if rows <= MILLION else 1
        arguments = ("--task", task, "--rows", str(rows), "--repeats", str(times))
        costs[task][rows] = Cost(**in_child("benchmarks.growth", *arguments))
    faces = Cost(**in_child("benchmarks.growth", "--faces", "--rows", str(face_rows)))
    return Result(
        [*_comparisons(costs), _faces_comparison(faces, face_rows)],
        "Growth",
        _details(costs, faces, face_rows),
    )


def fitted(costs: dict[int, Cost]) -> float:
    """The exponent with which a task's time grows."""
    return exponent(list(costs), [cost.seconds for cost in costs.values()])


def _comparisons(costs: dict[str, dict[int, Cost]]) -> list[Comparison]:
    found = [
        Comparison(f"growth of {task}: exponent", [fitted(own)], [1.0], "", MOST_EXPONENT, False)
        for task, own in costs.items()
    ]
    for task, own in costs.items():
        if task.startswith(TRIPLETS) and MILLION in own:
            cost, at = own[MILLION], f"{task}, a million rows"
            found += [
                Comparison(f"{at}: time, limit", [cost.seconds], [MOST_SECONDS], "s", 1, False),
                Comparison(
                    f"{at}: memory, limit", [cost.peak / 1e6], [MOST_BYTES / 1e6], "MB", 1, False
                ),
            ]
    return found


def _faces_comparison(cost: Cost, rows: int) -> Comparison:
    whole = rows * made_up.FACE_BYTES / 1e6
    name = f"a chunk of {rows} faces: memory against the whole array"
    return Comparison(name, [cost.peak / 1e6], [whole], "MB", MOST_OF_FACES, False)


def _details(costs: dict[str, dict[int, Cost]], faces: Cost, face_rows: int) -> list[str]:
    sizes = list(next(iter(costs.values())))
    rows = [
        f"| {task} | {fitted(own):.2f} | {' | '.join(_cost(own.get(size)) for size in sizes)} |"
        for task, own in costs.items()
    ]
    return [
        "Time and peak memory above the inputs, each in a process of its own. The exponent is",
        "fitted by least squares on the logarithms of rows and seconds.",
        "",
        f"| task | exponent | {' | '.join(f'{size:,} rows' for size in sizes)} |",
        f"|---|---|{'---|' * len(sizes)}",
        *rows,
        "",
        f"Opening {face_rows:,} faces ({face_rows * made_up.FACE_BYTES / 1e9:.1f} GB) and reading",
        f"{FACES_CHUNK} of them takes {faces.seconds:.2f} s and {faces.peak / 1e6:.0f} MB.",
    ]


def _cost(cost: Cost | None) -> str:
    return "" if cost is None else f"{cost.seconds:.3g} s, {cost.peak / 1e6:.0f} MB"


def main() -> None:
    """Take one measurement and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=TASKS)
    parser.add_argument("--faces", action="store_true")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.faces:
        cost = measure_faces(chosen.rows)
    else:
        cost = measure(chosen.task, chosen.rows, chosen.repeats)
    print(json.dumps(vars(cost)))


if __name__ == "__main__":
    main()
