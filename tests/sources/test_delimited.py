"""Text tables as users write them."""

from pathlib import Path

import pytest

from contrastive_age.errors import DataError
from contrastive_age.sources import delimited


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_marks_and_line_ends_do_not_matter(
    tmp_path: Path, separator: str, mark: str, end: str
) -> None:
    lines = [["Path", " age "], ["a.jpg", "007"], [" b c.jpg ", ""]]
    path = write(tmp_path, mark + end.join(separator.join(line) for line in lines) + end)
    table = delimited.read(path, ("path", "age"))
    assert table.to_dict("list") == {
        "path": ["a.jpg", "b c.jpg"],
        "age": ["007", ""],
        "row": [2, 3],
        "surplus": [False, False],
    }


def test_quotes_blank_lines_and_uneven_rows(tmp_path: Path) -> None:
    path = write(tmp_path, 'path,age,race\n\n"a,1.jpg",3\nNA,null,x,\nb.jpg,4,x,y\n,,\n')
    table = delimited.read(path, ("path",))
    assert table["path"].to_list() == ["a,1.jpg", "NA", "b.jpg"]
    assert table["age"].to_list() == ["3", "null", "4"]
    assert table["race"].to_list() == ["", "x", "x"]
    assert table["row"].to_list() == [3, 4, 5]
    assert table["surplus"].to_list() == [False, False, True]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has 0 rows and the columns: none"),
        ("\n\n", "has 0 rows and the columns: none"),
        ("path,age\n", "has 0 rows and the columns: path, age"),
        ("name;years\na;3\n", "has 1 rows and the columns: name, years"),
        ("path,age,age\na,3,4\n", "each once"),
        ("path,age\ncaf\xe9,3\n".encode("latin-1"), "not UTF-8"),
        ("path,age\na,3\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_an_unusable_table_is_an_error_that_names_the_columns(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=said) as error:
        delimited.read(path, ("path", "age"))
    assert str(path) in str(error.value)


def test_the_columns_needed_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs a header line with the columns path, age"):
        delimited.read(write(tmp_path, "a,b\n1,2\n"), ("path", "age"))


def test_a_column_may_have_one_of_several_names(tmp_path: Path) -> None:
    needed = (("path", "file"), "age")
    table = delimited.read(write(tmp_path, "Age,FILE\n3,a.jpg\n"), needed)
    assert table[["path", "age"]].to_numpy().tolist() == [["a.jpg", "3"]]
    # The first name counts where it is there, whatever the others hold.
    table = delimited.read(write(tmp_path, "age,file,path\n3,a,b\n"), needed)
    assert table[["path", "age", "file"]].to_numpy().tolist() == [["b", "3", "a"]]
    needed = (("path", "file", "image"), "age")
    for header in ("age,name", "age,file,image"):
        with pytest.raises(DataError, match=r"columns path \(or file, image\), age, each once"):
            delimited.read(write(tmp_path, f"{header}\n3,a,b\n"), needed)


def test_an_overlong_field_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, 'path,age\na,3\n"' + "x" * 200_000 + "\n")
    with pytest.raises(DataError, match="damaged near line 3"):
        delimited.read(path, ("path", "age"))


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_a_table_that_cannot_be_opened_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"cannot be read.*path, age"):
        delimited.read(tmp_path / name, ("path", "age"))


def test_a_million_rows_are_read_in_order(tmp_path: Path) -> None:
    rows = "".join(f"{n}.jpg,{n},7\n" for n in range(10**6))
    path = write(tmp_path, "path,identity,age\n" + rows)
    table = delimited.read(path, ("path", "identity", "age"))
    assert len(table) == 10**6
    assert table.iloc[-1].to_dict() == {
        "path": "999999.jpg",
        "identity": "999999",
        "age": "7",
        "row": 10**6 + 1,
        "surplus": False,
    }
