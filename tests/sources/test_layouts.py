"""The registry of layouts: every one is read by the same few steps, and a new one is a line."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from contrastive_age.drawn import synthetic
from contrastive_age.errors import DataError
from contrastive_age.parameters import given
from contrastive_age.sources import layouts, morph2, reading

NAMES = {
    "fgnet": ["images/001A02.JPG", "images/002A30.JPG"],
    "morph2": ["Album2/009055_0M20.JPG", "Album2/009055_1M54.JPG"],
    "utkface": ["a/25_1_0_20170109150557335.jpg", "30_0_2_20170109150557336.jpg"],
    "agedb": ["1_AnnaLee_30_f.jpg", "AgeDB/2_Ben_8_m.jpg"],
    "manifest": ["anna/1.jpg", "2.jpg"],
}


def make_source(folder: Path, layout: str) -> Path | None:
    """Make two photos in a layout; give the manifest where it is one."""
    for shade, name in enumerate(NAMES[layout]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (100 + shade, 0, 0)).save(folder / name)
    if not layouts.LAYOUTS[layout].of_table:
        return None
    rows = [
        f"{name},{person},30" for name, person in zip(NAMES[layout], ("Anna", "anna"), strict=True)
    ]
    (folder / "m.csv").write_text("\n".join(["path,identity,age", *rows, "gone.jpg,nan,30"]))
    return folder / "m.csv"


def test_the_parameters_know_the_layouts_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    known = TypeAdapter(given.Layout)
    assert [known.validate_python(name) for name in layouts.LAYOUTS] == list(layouts.LAYOUTS)
    with pytest.raises(ValidationError, match="fgnet, morph2, utkface, agedb, manifest"):
        known.validate_python("toy")
    monkeypatch.setitem(layouts.LAYOUTS, "toy", layouts.LAYOUTS["fgnet"])
    assert known.validate_python("toy") == "toy"


@pytest.mark.parametrize("layout", NAMES)
def test_a_source_of_every_layout_is_read(tmp_path: Path, layout: str) -> None:
    table = make_source(tmp_path, layout)
    assert layouts.photo_folder(layout, tmp_path, table, outside=False) == tmp_path
    samples, files, audit = layouts.read_source(layout, tmp_path, table, outside=False, known=None)
    assert sorted(samples["path"]) == sorted(NAMES[layout])
    assert set(files["path"]) >= set(NAMES[layout])
    assert files["path"].is_monotonic_increasing
    assert audit["n"] == 2
    assert ("spans_over_limit" in audit["anomalies"]) == (layout == "morph2")


def test_what_a_manifest_writes_otherwise_is_said_in_the_audit(tmp_path: Path) -> None:
    table = make_source(tmp_path, "manifest")
    (tmp_path / "anna").rename(tmp_path / "ANNA")
    result = layouts.read_source("manifest", tmp_path, table, outside=False, known=None)
    assert result.samples["identity"].to_list() == ["Anna", "Anna"]
    anomalies = result.audit["anomalies"]
    assert anomalies["identities_joined"]["items"] == [
        {"identity": "Anna", "spellings": {"Anna": 1, "anna": 1}}
    ]
    assert anomalies["paths_found_otherwise"]["items"] == [
        {"written": "anna/1.jpg", "found": "ANNA/1.jpg"}
    ]
    assert anomalies["other_rejections"]["count"] == 1
    assert result.audit["identities"] == 1


def test_dates_are_held_against_ages_where_the_layout_has_them(tmp_path: Path) -> None:
    make_source(tmp_path, "morph2")
    (tmp_path / morph2.TABLE_NAME).write_text(
        f"photo,dob,doa\n{NAMES['morph2'][0]},01/31/1980,02/28/2004\n"
    )
    audit = layouts.read_source("morph2", tmp_path, None, outside=False, known=None).audit
    assert audit["anomalies"]["date_mismatch"]["count"] == 1
    assert audit["anomalies"]["spans_over_limit"]["count"] == 1


def test_unchanged_files_of_an_earlier_table_are_not_read(tmp_path: Path) -> None:
    make_source(tmp_path, "utkface")
    first = layouts.read_source("utkface", tmp_path, None, outside=False, known=None).files
    known = first.assign(digest="taken over")
    again = layouts.read_source("utkface", tmp_path, None, outside=False, known=known).files
    assert set(again["digest"]) == {"taken over"}


def test_a_manifest_beside_its_photos_names_the_folder(tmp_path: Path) -> None:
    table = make_source(tmp_path / "mine", "manifest")
    raw_root = tmp_path / "raw"
    assert layouts.photo_folder("manifest", raw_root, table, outside=False) == tmp_path / "mine"


def test_a_manifest_that_is_not_given_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"give --params=manifest=FILE\.csv"):
        layouts.read_source("manifest", tmp_path, None, outside=False, known=None)


def test_a_new_layout_is_a_line_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(folder: Path, files: pd.DataFrame) -> reading.Reading:
        rows, rejected = reading.parse_names(files, r"(?P<identity>\w+)-(?P<age>\d+)", "name-age")
        return reading.finish(rows, [rejected], str(folder))

    toy = layouts.Layout(lambda folder: reading.list_images(folder, "", "Put toys there."), read)
    monkeypatch.setitem(layouts.LAYOUTS, "toy", toy)
    for name in ("Bo-3.png", "bo-4.png", "None-5.png", "other.png"):
        Image.new("RGB", (8, 8), "grey").save(tmp_path / name)
    result = layouts.read_source("toy", tmp_path, None, outside=False, known=None)
    assert result.samples["identity"].to_list() == ["Bo", "Bo"]
    assert [row["path"] for row in result.audit["rejected"]] == ["None-5.png", "other.png"]


@pytest.mark.parametrize("layout", ["fgnet", "morph2"])
def test_faces_are_drawn_in_a_layout_and_read_from_it(tmp_path: Path, layout: str) -> None:
    synthetic.draw(layout, tmp_path, identities=2, images=3, seed=0)
    audit = layouts.read_source(layout, tmp_path, None, outside=False, known=None).audit
    assert (audit["n"], audit["identities"]) == (3, 2)


def test_layouts_that_are_drawn_are_in_the_registry() -> None:
    assert synthetic.LAYOUTS.keys() <= layouts.LAYOUTS.keys()


def test_no_faces_are_drawn_in_another_layout(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fgnet and morph2, not utkface"):
        synthetic.draw("utkface", tmp_path, identities=2, images=3, seed=0)


def test_only_fgnet_has_annotated_points(tmp_path: Path) -> None:
    make_source(tmp_path, "fgnet")
    samples = pd.DataFrame({"sample_id": ["001A02"], "path": ["images/001A02.JPG"]})
    points = [f"{n}.0 {2 * n}.5" for n in range(68)]
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "001a02.pts").write_text("{\n" + "\n".join(points) + "\n}")
    annotated = layouts.read_points("fgnet", tmp_path, samples)
    assert annotated is not None
    assert annotated["sample_id"].to_list() == ["001A02"]
    for layout in ("morph2", "utkface", "agedb", "manifest"):
        assert layouts.read_points(layout, tmp_path, samples) is None


@pytest.mark.parametrize("layout", NAMES)
def test_photos_are_looked_for_where_the_layout_has_them(tmp_path: Path, layout: str) -> None:
    table = make_source(tmp_path, layout)
    assert layouts.has_photos(layout, tmp_path, table, outside=False)
    for name in NAMES[layout]:
        (tmp_path / name).unlink()
    assert not layouts.has_photos(layout, tmp_path, table, outside=False)
    assert not layouts.has_photos(layout, tmp_path / "gone", table, outside=False)


@pytest.mark.parametrize("name", ["fgnet", "FGNET", "FG-NET", "Fg Net"])
def test_a_folder_is_found_in_another_case_and_with_other_signs(name: str, tmp_path: Path) -> None:
    for other in ("fgnet2", "images", name):
        (tmp_path / other).mkdir()
    assert layouts.source_folder(tmp_path, Path("fgnet")) == tmp_path / name


def test_the_exact_name_comes_first_and_of_several_none_is_chosen(tmp_path: Path) -> None:
    named = tmp_path / "fgnet"
    assert layouts.source_folder(tmp_path / "gone", Path("fgnet")) == tmp_path / "gone" / "fgnet"
    for other in ("FG-NET", "FG_NET"):
        (tmp_path / other).mkdir()
    assert layouts.source_folder(tmp_path, Path("fgnet")) == named
    with pytest.raises(DataError, match="but FG-NET and FG_NET: rename one of them to fgnet"):
        layouts.read_source("fgnet", named, None, False, None)
    named.mkdir()
    assert layouts.source_folder(tmp_path, Path("fgnet")) == named


@pytest.mark.parametrize(
    ("layout", "raw_root", "said"),
    [
        ("fgnet", "fgnet", "{0}/fgnet names the folder of fgnet itself: .* raw_root={0}$"),
        ("fgnet", "FGNET/images", "names a folder inside that of fgnet itself: .* raw_root={0}$"),
        ("morph2", "morph2/Album2", "inside that of morph2 itself: .* raw_root={0}$"),
        ("utkface", "UTKFace", "names the folder of utkface itself: .* raw_root={0}$"),
        ("utkface", "utkface/a", "inside that of utkface itself: .* raw_root={0}$"),
        ("fgnet", "faces", r"raw_root={0} \(and faces renamed to fgnet\)$"),
        ("morph2", "faces/Album2", r"raw_root={0} \(and faces renamed to morph2\)$"),
    ],
)
def test_where_raw_root_names_the_source_itself_the_folder_above_is_named(
    layout: str, raw_root: str, said: str, tmp_path: Path
) -> None:
    make_source(tmp_path / raw_root.partition("/")[0], layout)
    with pytest.raises(DataError, match=said.format(tmp_path)):
        layouts.read_source(layout, tmp_path / raw_root / layout, None, False, None)


@pytest.mark.parametrize("layout", ["fgnet", "morph2", "utkface", "agedb"])
def test_where_it_is_nowhere_near_what_belongs_there_is_said(layout: str, tmp_path: Path) -> None:
    (tmp_path / "holidays").mkdir()
    with pytest.raises(DataError, match="belongs there"):
        layouts.read_source(layout, tmp_path / "holidays" / layout, None, False, None)
