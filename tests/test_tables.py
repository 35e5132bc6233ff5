"""Tables in Parquet files keep what they are given, and one damaged bit is an error."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from contrastive_age import tables


def test_a_table_comes_back_with_its_attributes_and_others_can_read_it(tmp_path: Path) -> None:
    table = pd.DataFrame({"identity": ["001", None], "age": [3, 40]}, index=["a", "b"])
    table.attrs = {"fingerprint": "abc"}
    tables.write(table, tmp_path / "t.parquet")
    for read in (tables.read, pd.read_parquet):
        found = read(tmp_path / "t.parquet")
        pd.testing.assert_frame_equal(found, table)
        assert found.attrs == table.attrs


def test_a_table_of_another_writer_is_read(tmp_path: Path) -> None:
    table = pd.DataFrame({"age": [3, 40]})
    table.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(tables.read(tmp_path / "t.parquet"), table)


@pytest.mark.parametrize("bit", range(8))
def test_one_damaged_bit_of_a_value_is_an_error(tmp_path: Path, bit: int) -> None:
    values = np.random.default_rng(0).random(500)
    path = tmp_path / "t.parquet"
    tables.write(pd.DataFrame({"age": values}), path)
    content = bytearray(path.read_bytes())
    content[content.index(values[250].tobytes()) + 3] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(OSError, match="CRC checksum"):
        tables.read(path)


def test_a_damaged_name_of_a_column_or_attribute_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pd.DataFrame({"sample_id": ["a", "b"], "age": [3, 40]})
    table.attrs = {"record": {"code": "abc"}}
    tables.write(table, path)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in range(footer, len(whole)):
        content = bytearray(whole)
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises((ValueError, OSError, MemoryError)):
            tables.read(path)
    for cut in range(12):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"Parquet|parquet|size"):
            tables.read(path)
