"""What decides a file is named, what only surrounds it is said, what documents it is neither."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import ROOT
from contrastive_age import provenance
from contrastive_age.drawn import synthetic
from contrastive_age.errors import DataError
from contrastive_age.evaluation.summary import tables_decided_by
from contrastive_age.faces.landmarks import decided_by
from contrastive_age.faces.store import Wanted
from contrastive_age.protocols.folds import Plan
from contrastive_age.provenance import Record, code_of, file_digest, made_with
from contrastive_age.sources import layouts
from contrastive_age.training.fold import networks_decided_by

NOTHING = pd.DataFrame({name: [] for name in ("sample_id", "identity", "age")})
PLAN = Plan("fgnet_se", "se", 5, None, 0, None, True, False, 40, (0, 69))

CODE: dict[str, Callable[[], str]] = {
    "drawn photos": lambda: code_of(synthetic.draw),
    "samples": layouts.code,
    "landmarks": lambda: decided_by(None)["code of detection"],
    "faces": lambda: Wanted(1.0).decided_by["code of alignment"],
    "folds": lambda: PLAN.decided_by(NOTHING, NOTHING)["code of splitting"],
    "networks": lambda: networks_decided_by("", "", [], NOTHING)["code of training"],
    "tables": lambda: tables_decided_by({}, NOTHING, NOTHING, {})["code of evaluation"],
}
MADE_FROM = {"faces": ["landmarks"], "networks": ["faces"], "tables": ["networks"]}
"""Whose records hold those of what they are made from. Photos, samples and folds count by what they
hold."""


def _forget() -> None:
    code_of.cache_clear()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that can be changed."""
    copy = tmp_path / "contrastive_age"
    shutil.copytree(
        ROOT / "src/contrastive_age", copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(provenance, "_ROOT", copy)
    _forget()
    yield copy
    _forget()


def _all() -> dict[str, str]:
    _forget()
    return {kind: name() for kind, name in CODE.items()}


def _made_anew(code: Path, module: str, old: str, new: str) -> set[str]:
    """Change a file, and give the kinds of file that are then made anew."""
    before = _all()
    path = code / module
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    after = _all()
    anew = {kind for kind in CODE if before[kind] != after[kind]}
    for kind, parts in MADE_FROM.items():
        anew |= {kind} if anew.intersection(parts) else set()
    return anew


FROM_FACES = {"faces", "networks", "tables"}


@pytest.mark.parametrize(
    ("module", "old", "new", "kinds"),
    [
        ("sources/utkface.py", "def read(", "def read_all(", {"samples"}),
        (
            "sources/decoding.py",
            '"white"',
            '"black"',
            {"samples", "landmarks"} | FROM_FACES,
        ),
        ("faces/detection.py", "SURE = 0.993", "SURE = 0.5", {"landmarks"} | FROM_FACES),
        ("faces/mtcnn.py", "0.5", "0.6", {"landmarks"} | FROM_FACES),
        ("faces/alignment.py", "reducing_gap=3.0", "reducing_gap=2.0", {"landmarks"} | FROM_FACES),
        ("faces/looks.py", "SIDE = 16", "SIDE = 8", {"folds"} | FROM_FACES),
        ("faces/store.py", "CHUNK_SIZE = 64", "CHUNK_SIZE = 65", FROM_FACES),
        ("drawn/portrait/skin.py", "import", "import sys, ", {"drawn photos"}),
        ("drawn/synthetic.py", "_QUALITY = 92", "_QUALITY = 50", {"drawn photos"}),
        ("protocols/splits.py", "shuffle=True", "shuffle=False", {"folds"}),
        # What it counts is in the record of tables, if other than before.
        ("protocols/leakage.py", "_NAMED = 5", "_NAMED = 6", {"folds"}),
        ("protocols/copies.py", "SURPLUS = 6", "SURPLUS = 7", {"folds", "networks", "tables"}),
        ("protocols/parts.py", "group[tested]", "group[:1]", {"folds", "networks", "tables"}),
        ("triplets/index.py", "_WIDEST = 1_000", "_WIDEST = 999", {"networks", "tables"}),
        ("triplets/sampling.py", "def batches(", "def batch(", {"networks", "tables"}),
        ("model/losses/mean.py", "/ 2", "/ 3", {"networks", "tables"}),
        ("model/initialisation.py", "draw(seed)", "draw(1)", {"networks", "tables"}),
        ("model/resnet.py", '"fan_out"', '"fan_in"', {"networks", "tables"}),
        ("model/heads.py", "Dropout(0.5)", "Dropout(0.4)", {"networks", "tables"}),
        ("model/weights.py", 'age_max"]', 'age_min"]', {"networks", "tables"}),
        ("training/loop.py", "WARM_UP = 0.3", "WARM_UP = 0.4", {"networks", "tables"}),
        ("training/recipe.py", "CROP_SIZE = ", "CROP_SIZE = 1 + ", {"networks", "tables"}),
        ("evaluation/metrics.py", "float(sizes.mean())", "2 * float(sizes.mean())", {"tables"}),
        ("evaluation/outputs.py", "centre_crop(send", "(send", {"tables"}),
        # What nodes decided before: where copies stay apart, what trains, what is explained.
        ("protocols/folds.py", "grouped or promised", "promised", {"folds"}),
        ("protocols/published.py", "CORAL_YOUNGEST = 16", "CORAL_YOUNGEST = 15", {"folds"}),
        (
            "protocols/parts.py",
            "ignore_index=True",
            "ignore_index=False",
            {"folds", "networks", "tables"},
        ),
        ("model/weights.py", "tested.empty or", "", {"networks", "tables"}),
        ("evaluation/gradcam.py", "if named is not None", "if named", {"tables"}),
        ("evaluation/summary.py", 'not leakage["leaked_copies"]', "True", {"tables"}),
        ("sources/layouts.py", "lambda *_: None", "lambda *_: 0", {"samples"}),
        ("protocols/namespaces.py", 'FINAL = "final"', 'FINAL = "last"', set()),
        ("triplets/part.py", "known, code_of", "code_of", set()),
        ("reporting/figures.py", "def scatter", "def scattered", set()),
        ("tracking/hook.py", "def after_dataset_saved", "def after_saved", set()),
        ("parameters/setting.py", "class Overlap", "class Overlapping", set()),
        ("parameters/origins.py", "def start_of", "def begun", set()),
        ("pipelines/training/nodes.py", "rows_of(training_samples", "rows_of(folds", set()),
        ("__init__.py", '"0.1.0"', '"0.2.0"', set()),
    ],
)
def test_a_change_makes_anew_what_the_code_makes(
    code: Path, module: str, old: str, new: str, kinds: set[str]
) -> None:
    assert _made_anew(code, module, old, new) == kinds


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("evaluation/metrics.py", "def signed_errors", "# errors\n\n\ndef signed_errors"),
        ("faces/alignment.py", '"""Decoding photos', '"""Reading photos'),
        (
            "training/loop.py",
            "LAST_RATE = FIRST_RATE / 1e4",
            "LAST_RATE = (\n    FIRST_RATE / 1e4\n)",
        ),
        ("protocols/parts.py", "import pandas as pd", "import pandas as pd  # tables"),
    ],
)
def test_wording_and_layout_make_nothing_anew(code: Path, module: str, old: str, new: str) -> None:
    assert _made_anew(code, module, old, new) == set()


MODULES = {
    "maker.py": """
from typing import TYPE_CHECKING
import os, contrastive_age.whole
from contrastive_age.room import door
from contrastive_age.shelf.books import page
from . import beside
if TYPE_CHECKING:
    from contrastive_age.typed import Type
else:
    from contrastive_age.untyped import Type

def make():
    from contrastive_age import late
""",
    "room/__init__.py": "from .lock import key",
    "room/door.py": "from ..window import pane",
    "shelf/books.py": "def page(): ...",
}
COUNTING = {"whole", "room/lock", "window", "shelf/__init__", "beside", "untyped", "late"}
OTHERS = {"typed", "stranger", "__init__"}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of a few modules that import one another in every way."""
    folder = tmp_path / "contrastive_age"
    monkeypatch.setattr(provenance, "_ROOT", folder)
    empty = {f"{name}.py": "" for name in COUNTING | OTHERS}
    for name, text in (empty | MODULES).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    _forget()
    yield folder
    _forget()


def make() -> None:
    """Stands for the function `make` of the toy."""


make.__module__ = "contrastive_age.maker"


def test_every_way_to_import_a_module_counts(toy: Path) -> None:
    before = code_of(make)
    counting = set()
    for path in toy.rglob("*.py"):
        text = path.read_text()
        path.write_text(f"{text}\nX = 1\n")
        _forget()
        if code_of(make) != before:
            counting.add(path.relative_to(toy).as_posix())
        path.write_text(text)
    assert counting == {*MODULES, *(f"{name}.py" for name in COUNTING)}


@pytest.mark.parametrize(
    ("one", "other"),
    [("X = 1", "X = 1.0"), ("X = 1", "X = True"), ("X = 'a'", "X = b'a'"), ("f(x)", "f(*x)")],
)
def test_values_that_are_equal_but_not_the_same_are_told_apart(
    toy: Path, one: str, other: str
) -> None:
    found = []
    for text in (one, other):
        (toy / "beside.py").write_text(text)
        _forget()
        found.append(code_of(make))
    assert found[0] != found[1]


RECORD = Record({"coverage": 1.35, "photos": "p"}, {"pillow": "12", "machine": "Linux x86_64"})


def test_a_record_is_read_as_it_was_written() -> None:
    assert Record.read(RECORD.document) == RECORD
    assert Record.read(RECORD.document).fingerprint == RECORD.fingerprint


@pytest.mark.parametrize("document", [None, {}, "text", {"decided_by": 3}])
def test_a_file_that_says_nothing_is_never_the_wanted_one(document: Any) -> None:
    assert Record.read(document).differences({"coverage": 1.0}) == [
        "it does not say what it was made from"
    ]


def test_what_decided_a_file_otherwise_is_named() -> None:
    assert RECORD.differences({"coverage": 1.35, "photos": "p"}) == []
    assert RECORD.differences({"coverage": 1.0, "min_face": 30}) == [
        "coverage was 1.35 and is now 1.0",
        "min_face was None and is now 30",
        "photos was p and is now None",
    ]


def test_a_file_that_something_else_decided_is_refused_with_what_to_do() -> None:
    RECORD.require({"coverage": 1.35, "photos": "p"}, "The faces differ", "align again")
    with pytest.raises(
        DataError, match=r"^The faces differ: coverage was 1\.35 and is now 1\.0; align again$"
    ):
        RECORD.require({"coverage": 1.0, "photos": "p"}, "The faces differ", "align again")


def test_a_table_carries_its_record_through_a_file(tmp_path: Path) -> None:
    table = pd.DataFrame({"age": [3]})
    assert Record.of(table) == Record({})
    table.attrs["record"] = RECORD.document
    table.to_parquet(tmp_path / "table.parquet")
    assert Record.of(pd.read_parquet(tmp_path / "table.parquet")) == RECORD


def test_tuples_are_what_json_makes_of_them() -> None:
    record = Record.read(Record({"ages": (0, 69)}).document)
    assert record.differences({"ages": (0, 69)}) == []


def test_libraries_that_are_not_there_are_not_named() -> None:
    found = made_with("numpy", "no-such-library")
    assert set(found) == {"numpy", "machine"}


def test_a_file_is_read_again_where_it_may_be_another(tmp_path: Path) -> None:
    path, other = tmp_path / "one", tmp_path / "other"
    path.write_text("a")
    other.write_text("b")
    first, second = file_digest(path), file_digest(other)
    state = path.stat()
    for swapped in (path, other):
        os.utime(swapped, ns=(state.st_atime_ns, state.st_mtime_ns))
    path.rename(tmp_path / "third")
    other.rename(path)
    (tmp_path / "third").rename(other)
    assert (file_digest(path), file_digest(other)) == (second, first)
