"""Whatever lies in a raw folder: each good photo keeps its sample, and every other has a reason."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.sources import audit, layouts, morph2
from contrastive_age.sources.layouts import Ingested
from fuzz.cases import AT_ONCE, CASES, cases, damaged, names, photo_bytes, watched, whole

pytestmark = pytest.mark.endurance


@dataclass(frozen=True)
class Folder:
    """How the raw folder of a layout looks.

    Attributes:
        below: Where its photos lie.
        good: Names that follow its pattern, of photos that lie there.
        near: Others from which names are made.
    """

    below: str
    good: tuple[str, ...]
    near: tuple[str, ...]


POINTS = b"version: 1\nn_points: 68\n{\n" + b"12.5 20.25\n" * 68 + b"}\n"
TABLE = b"id_num,picture_num,dob,doa,race,gender,age,photo\n" + b"".join(
    b"00000%d,0,05/08/1960,10/10/2005,B,M,45,Album2/00000%d_0M45.JPG\n" % (n, n) for n in (1, 2)
)
FOLDERS = {
    "fgnet": Folder(
        "images",
        ("001A02.JPG", "001A43a.JPG", "002A12.jpg"),
        ("001A02", "082A60b", "1A2"),
    ),
    "morph2": Folder(
        "Album2",
        ("000001_0M45.JPG", "000002_0M45.JPG", "009055_00F54.jpg"),
        ("009055_0M54", "000001_1M45", "1_1M1"),
    ),
    "utkface": Folder(
        "",
        ("25_1_0_20170109150557335.jpg.chip.jpg", "61_1_20170109150557.jpg", "1_0_2_20170109.png"),
        ("25_1_0_20170109150557335.jpg.chip", "53__0_20170116184028385.jpg", "61_3_20170109"),
    ),
    "agedb": Folder(
        "",
        ("14_MariaCallas_32_f.jpg", "16107_DannyGlover_8_m.jpg", "16070_WillSmith _36_m.jpg"),
        ("14_MariaCallas_32_x", "_DannyGlover_8_m", "16070_WillSmith_m"),
    ),
}


def read(layout: str, folder: Path, known: pd.DataFrame | None = None) -> Ingested:
    return layouts.read_source(layout, folder, None, False, known)


def put(kind: str, path: Path, content: bytes) -> None:
    """Make an entry of a folder, a file in most cases."""
    if kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "circle":
        path.symlink_to(".")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(content)


def with_good_photos(layout: str, folder: Path) -> Path:
    """Put the good photos into a raw folder; give the place of its photos."""
    place = folder / FOLDERS[layout].below
    place.mkdir(exist_ok=True)
    for name in FOLDERS[layout].good:
        place.joinpath(name).write_bytes(whole("jpg"))
    return place


KEPT = ["path", "sample_id", "identity", "age", "sex"]


def labels(found: Ingested) -> pd.DataFrame:
    return found.samples.set_index("path")[["sample_id", "age"]]


@pytest.mark.parametrize("layout", FOLDERS)
def test_good_photos_keep_their_samples_whatever_lies_beside_them(
    layout: str, tmp_path: Path
) -> None:
    own = FOLDERS[layout]
    place = with_good_photos(layout, tmp_path)
    alone = read(layout, tmp_path)
    expected = labels(alone)
    assert len(expected) == len(own.good)
    stems = {Path(name).stem.lower() for name in own.good}
    entries = st.tuples(
        st.sampled_from(["file"] * 12 + ["folder", "dangling", "circle", "pipe"]),
        names(*own.near).filter(lambda name: Path(name).stem.lower() not in stems),
        photo_bytes(),
    )

    @cases(CASES // AT_ONCE)
    @given(st.lists(entries, min_size=AT_ONCE, max_size=AT_ONCE, unique_by=lambda entry: entry[1]))
    def each(beside: list[tuple[str, str, bytes]]) -> None:
        made = [place / name for _, name, _ in beside]
        try:
            for path, (kind, _, content) in zip(made, beside, strict=True):
                put(kind, path, content)
            with watched():
                found = read(layout, tmp_path, alone.files)
            samples = labels(found)
            pd.testing.assert_frame_equal(samples.loc[expected.index], expected)
            # No file is lost: it is a sample, or has its reason.
            listed = {*samples.index, *(entry["path"] for entry in found.audit["rejected"])}
            for kind, name, _ in beside:
                shown = os.fsencode(name).decode("utf-8", "backslashreplace")
                if kind != "folder":
                    assert str(Path(own.below, shown)) in listed, (kind, name)
        finally:
            for path in made:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    each()


def holding(content: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(*[damaged(content)] * 3, st.binary(max_size=80))


def test_points_that_somebody_annotated_are_read_or_left_out(tmp_path: Path) -> None:
    with_good_photos("fgnet", tmp_path)
    samples = read("fgnet", tmp_path).samples
    points = tmp_path / "points" / "001a02.pts"
    points.parent.mkdir()

    @cases()
    @given(holding(POINTS))
    def each(content: bytes) -> None:
        points.write_bytes(content)
        with watched():
            found = layouts.read_points("fgnet", tmp_path, samples)
        assert found is not None
        assert {*found["sample_id"]} <= {"images/001A02"}
        assert np.isfinite(found.drop(columns="sample_id")).all(axis=None)

    each()


def test_good_photos_keep_their_samples_whatever_the_table_of_morph_holds(tmp_path: Path) -> None:
    with_good_photos("morph2", tmp_path)
    alone = read("morph2", tmp_path)
    table = tmp_path / morph2.TABLE_NAME

    @cases()
    @given(holding(TABLE))
    def each(content: bytes) -> None:
        table.write_bytes(content)
        with watched():
            try:
                found = morph2.read(tmp_path, alone.files)
            except DataError as error:  # of the table alone
                assert table.name in str(error)
                assert "\n" not in str(error)
                return
            said = morph2.read_table(tmp_path, found.samples)
            assert said is not None
            report = audit.audit(found, alone.files, table=said)
        pd.testing.assert_frame_equal(found.samples[KEPT], alone.samples[KEPT])
        assert {*said["sample_id"]} <= {*found.samples["sample_id"]}
        assert report["n"] == len(alone.samples)

    each()
