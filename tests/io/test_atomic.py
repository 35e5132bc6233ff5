"""Our datasets keep what they are given, and never leave half a file."""

import base64
import json
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError
from matplotlib.figure import Figure

from contrastive_age.io.atomic import Document, Picture, Table


def test_a_table_keeps_its_fingerprint(tmp_path: Path) -> None:
    table = pd.DataFrame({"identity": ["001", "002"], "age": [3, 40]})
    table.attrs["fingerprint"] = "abc"
    dataset = Table(filepath=str(tmp_path / "x" / "table.parquet"))
    dataset.save(table)
    loaded = dataset.load()
    pd.testing.assert_frame_equal(loaded, table)
    assert loaded.attrs == {"fingerprint": "abc"}
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["table.parquet"]


def test_a_document_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    dataset = Document(filepath=str(tmp_path / "document.json"))
    dataset.save({"n": 1})
    with pytest.raises((DatasetError, TypeError)):
        dataset.save({"n": object()})
    assert dataset.load() == {"n": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_picture_is_written(tmp_path: Path) -> None:
    figure = Figure()
    figure.add_subplot().plot([0, 1])
    Picture(filepath=str(tmp_path / "picture.png")).save(figure)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


def test_previews_are_of_the_kinds_that_kedro_viz_draws(tmp_path: Path) -> None:
    table = Table(filepath=str(tmp_path / "table.parquet"))
    table.save(pd.DataFrame({"age": [3, 40, 50]}))
    assert table.preview(nrows=2)["data"] == [[3], [40]]
    document = Document(filepath=str(tmp_path / "document.json"))
    document.save({"n": 1})
    assert json.loads(document.preview()) == {"n": 1}
    picture = Picture(filepath=str(tmp_path / "picture.png"))
    picture.save(Figure())
    assert base64.b64decode(picture.preview()).startswith(b"\x89PNG")


@pytest.mark.parametrize("folder", ["memory://folder", "local"])
def test_a_local_copy_holds_what_is_kept_elsewhere(folder: str, tmp_path: Path) -> None:
    place = str(tmp_path) if folder == "local" else folder
    dataset = Document(filepath=f"{place}/document.json")
    dataset.save({"n": 1})
    with dataset.local_copy() as copy:
        assert copy.name == "document.json"
        assert json.loads(copy.read_text(encoding="utf-8")) == {"n": 1}
    assert copy.exists() == (folder == "local")


def test_any_fsspec_path_will_do() -> None:
    dataset = Table(filepath="memory://folder/table.parquet")
    assert not dataset.exists()
    dataset.save(pd.DataFrame({"age": [3]}))
    assert dataset.exists()
    assert dataset.load()["age"].tolist() == [3]
