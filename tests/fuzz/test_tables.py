"""Whatever a manifest or a split list holds: good rows keep their labels, the rest has a reason."""

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.protocols import splits
from contrastive_age.sources import layouts
from fuzz.cases import AT_ONCE, CASES, cases, damaged, texts, watched, whole

pytestmark = pytest.mark.endurance

GOOD = [("a/1.jpg", "anna", "25"), ("a/2.jpg", "anna", "31"), ("b/1.png", "0017", "60")]
PATHS = texts(
    *(path for path, _, _ in GOOD),
    *("../x.jpg", "/etc/passwd", "/dev/zero", "a", "a/", "a/1", "a\\1.jpg", "./a/1.jpg", "A/1.JPG"),
    *("link.jpg", "pipe.jpg", "out/x.jpg", "a/../a/1.jpg", "a\0.jpg", "/", ".", "C:\\x.jpg"),
)
ROWS = st.tuples(
    PATHS,
    texts("anna", "0017", "17", "Ánna"),
    texts("25", "025", "25.0", "121"),
    texts("F", "male"),
)
DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t"),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
    }
)


def table(header: list[str], rows: Sequence[tuple[str, ...]], dialect: dict[str, Any]) -> str:
    """Write a table as a program does that knows how."""
    text = io.StringIO(newline="")
    # Python's writer quotes those line ends alone that its own consists of.
    odd = any("\r" in value for row in rows for value in row)
    csv.writer(text, **dialect | ({"lineterminator": "\r\n"} if odd else {})).writerows(
        [header, *rows]
    )
    return text.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the photos of the good rows, and some that nobody should follow."""
    (tmp_path / "raw").mkdir()
    for path, _, _ in GOOD:
        photo = tmp_path / "raw" / path
        photo.parent.mkdir(exist_ok=True)
        photo.write_bytes(whole(photo.suffix[1:]))
    (tmp_path / "raw" / "link.jpg").symlink_to("/etc/passwd")
    (tmp_path / "raw" / "out").symlink_to(tmp_path)
    return tmp_path / "raw"


def test_good_rows_of_a_manifest_keep_their_labels(folder: Path) -> None:
    manifest = folder / "manifest.csv"

    # Each row is a case: most of the time a reading takes goes by once.
    @cases(CASES // AT_ONCE)
    @given(
        st.lists(ROWS, min_size=AT_ONCE, max_size=AT_ONCE),
        DIALECTS,
        st.sampled_from(["utf-8", "utf-8-sig"]),
        st.booleans(),
        st.booleans(),
    )
    def each(
        bad: list[tuple[str, ...]],
        dialect: dict[str, Any],
        encoding: str,
        outside: bool,
        rounded: bool,
    ) -> None:
        rows = [*((*row, "") for row in GOOD), *bad]
        text = table(["path", "identity", "age", "sex"], rows, dialect)
        manifest.write_bytes(text.encode(encoding))
        with watched():
            found = layouts.read_source(
                "manifest", folder, manifest, outside, known, round_ages=rounded
            )
        ages = dict(zip(found.samples["path"], found.samples["age"], strict=True))
        assert {path: ages.get(path) for path, _, _ in GOOD} == {
            path: int(age) for path, _, age in GOOD
        }
        # No row is lost.
        written = [row for row in bad if any(map(str.strip, row))]
        assert len(found.samples) + len(found.audit["rejected"]) == len(GOOD) + len(written)

    manifest.write_text(table(["path", "identity", "age"], GOOD, {}))
    known = layouts.read_source("manifest", folder, manifest, False, None).files
    each()


def test_a_damaged_manifest_is_read_or_refused(folder: Path) -> None:
    manifest = folder / "manifest.csv"
    content = table(["path", "identity", "age"], GOOD, {}).encode()
    odd = content.decode().encode("utf-16")

    @cases()
    @given(st.one_of(damaged(content), damaged(content), damaged(odd), st.binary(max_size=90)))
    def each(content: bytes) -> None:
        manifest.write_bytes(content)
        with watched(), suppress(DataError):
            layouts.read_source("manifest", folder, manifest, False, known)

    manifest.write_bytes(content)
    known = layouts.read_source("manifest", folder, manifest, False, None).files
    each()


IDS = [f"{folder}/{number}" for folder in ("a", "b") for number in range(3)]
SAMPLES = pd.DataFrame({"sample_id": IDS, "identity": list("uvwxyz"), "age": range(20, 26)})


def test_a_whole_split_list_gives_its_folds_however_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"

    @cases()
    @given(
        st.permutations(IDS),
        st.sampled_from(["{}", "{}.jpg", "./{}", "x/y/{}", " {} ", "{}.PNG"]),
        st.lists(st.integers(0, 2), min_size=len(IDS), max_size=len(IDS)),
        st.integers(0, 1),
        DIALECTS,
    )
    def each(
        order: list[str], spelling: str, folds: list[int], first: int, dialect: dict[str, Any]
    ) -> None:
        # Numbered without gaps, at least two.
        folds = [0, 1, *(fold if 2 in folds[2:] else fold % 2 for fold in folds[2:])]
        rows = [
            (spelling.format(name), str(fold + first))
            for name, fold in zip(order, folds, strict=True)
        ]
        path.write_text(table(["file", "fold"], rows, dialect), encoding="utf-8", newline="")
        with watched():
            found = splits.from_file(SAMPLES, path)
        assert dict(zip(found["sample_id"], found["fold"], strict=True)) == dict(
            zip(order, folds, strict=True)
        )

    each()


def test_a_damaged_split_list_is_refused_or_means_every_sample_once(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    rows = [(f"{name}.jpg", str(number % 3)) for number, name in enumerate(IDS)]
    content = table(["sample_id", "fold"], rows, {}).encode()
    others = st.lists(st.tuples(texts(*IDS), texts("0", "1", "2", "+1", "1.0", "१")), max_size=3)

    @cases()
    @given(
        st.one_of(
            damaged(content),
            damaged(content),
            others.map(lambda more: table(["sample_id", "fold"], [*rows, *more], {}).encode()),
            st.binary(max_size=90),
        )
    )
    def each(content: bytes) -> None:
        path.write_bytes(content)
        try:
            with watched():
                found = splits.from_file(SAMPLES, path)
        except DataError:
            return
        assert found["sample_id"].tolist() == IDS
        assert sorted(set(found["fold"])) == list(range(found["fold"].max() + 1))

    each()
