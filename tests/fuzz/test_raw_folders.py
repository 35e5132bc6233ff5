"""Whatever lies in a raw folder: each good photo keeps its sample, and every other has a reason."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive_age.errors import DataError
from contrastive_age.sources import layouts
from contrastive_age.sources.layouts import Ingested
from fuzz.cases import cases, damaged, names, photo_bytes, watched, whole

pytestmark = pytest.mark.endurance


@dataclass(frozen=True)
class Folder:
    """How the raw folder of a layout looks.

    Attributes:
        below: Where its photos lie.
        good: Names that follow its pattern, of photos that lie there.
        near: Others from which names are made.
        tables: Further files that it may hold, by their path, with what they should hold.
    """

    below: str
    good: tuple[str, ...]
    near: tuple[str, ...]
    tables: dict[str, bytes]


POINTS = b"version: 1\nn_points: 68\n{\n" + b"12.5 20.25\n" * 68 + b"}\n"
TABLE = b"id_num,picture_num,dob,doa,race,gender,age,photo\n" + b"".join(
    b"00000%d,0,05/08/1960,10/10/2005,B,M,45,Album2/00000%d_0M45.JPG\n" % (n, n) for n in (1, 2)
)
FOLDERS = {
    "fgnet": Folder(
        "images",
        ("001A02.JPG", "001A43a.JPG", "002A12.jpg"),
        ("001A02", "082A60b", "1A2"),
        {"points/001a02.pts": POINTS},
    ),
    "morph2": Folder(
        "Album2",
        ("000001_0M45.JPG", "000002_0M45.JPG", "009055_00F54.jpg"),
        ("009055_0M54", "000001_1M45", "1_1M1"),
        {"morph_2008_nonCommercial.csv": TABLE},
    ),
    "utkface": Folder(
        "",
        ("25_1_0_20170109150557335.jpg.chip.jpg", "61_1_20170109150557.jpg", "1_0_2_20170109.png"),
        ("25_1_0_20170109150557335.jpg.chip", "53__0_20170116184028385.jpg", "61_3_20170109"),
        {},
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


@pytest.mark.parametrize("layout", FOLDERS)
def test_good_photos_keep_their_samples_whatever_lies_beside_them(
    layout: str, tmp_path: Path
) -> None:
    own = FOLDERS[layout]
    place = tmp_path / own.below
    place.mkdir(exist_ok=True)
    for name in own.good:
        place.joinpath(name).write_bytes(whole("jpg"))
    alone = read(layout, tmp_path)
    expected = alone.samples.set_index("path")[["sample_id", "age"]]
    assert len(expected) == len(own.good)
    stems = {Path(name).stem.lower() for name in own.good}
    entries = st.tuples(
        st.sampled_from(["file"] * 12 + ["folder", "dangling", "circle", "pipe"]),
        names(*own.near).filter(lambda name: Path(name).stem.lower() not in stems),
        photo_bytes(),
    )
    tables = [damaged(content) for content in own.tables.values()] or [st.none()]

    @cases()
    @given(st.lists(entries, min_size=1, max_size=3, unique_by=lambda entry: entry[1]), *tables)
    def each(beside: list[tuple[str, str, bytes]], table: bytes | None) -> None:
        made = []
        try:
            for kind, name, content in beside:
                made.append(place / name)
                put(kind, place / name, content)
            for path in own.tables:
                made.append(tmp_path / path)
                made[-1].parent.mkdir(exist_ok=True)
                made[-1].write_bytes(table or b"")
            with watched():
                check(beside)
        finally:
            for path in made:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    def check(beside: list[tuple[str, str, bytes]]) -> None:
        try:
            found = read(layout, tmp_path, alone.files)
        except DataError as error:  # of its table alone
            assert layout == "morph2", error
            assert "morph_2008" in str(error)
            return
        layouts.read_points(layout, tmp_path, found.samples)
        samples = found.samples.set_index("path")[["sample_id", "age"]]
        pd.testing.assert_frame_equal(samples.loc[expected.index], expected)
        # No file is lost: it is a sample, or has its reason.
        listed = {*samples.index, *(entry["path"] for entry in found.audit["rejected"])}
        for kind, name, _ in beside:
            shown = os.fsencode(name).decode("utf-8", "backslashreplace")
            if kind != "folder":
                assert str(Path(own.below, shown)) in listed, (kind, name)

    each()
