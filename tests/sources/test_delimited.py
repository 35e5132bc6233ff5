"""Text tables as users write them."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


# Every character that a file may hold and a value begin or end with.
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from(',;|"\n\t'),
    max_size=8,
).map(lambda text: text.strip().strip('"').strip())


@st.composite
def dialects(draw: st.DrawFn) -> dict:
    """How a program writes a table."""
    separator = draw(st.sampled_from(",;\t|"))
    declared = f"sep={separator}\r\n" if draw(st.booleans()) else ""
    return {
        "above": declared + draw(st.sampled_from(["", "\n", " \r\n", separator * 3 + "\n"])),
        "encoding": draw(
            st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])  # the last two with a mark
        ),
        "rename": draw(st.sampled_from([str, str.upper, str.title, " {} ".format])),
        "behind": draw(st.integers(0, 2)),
        "options": {
            "delimiter": separator,
            # Where lines end otherwise, the writer quotes no value for a line feed in it.
            **draw(
                st.sampled_from(
                    [
                        {"quoting": quoting, "lineterminator": end}
                        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
                        for end in ("\n", "\r\n", "\r", "\n\n")
                        if quoting == csv.QUOTE_ALL or end != "\r"
                    ]
                )
            ),
        },
    }


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(TEXTS.filter(bool), TEXTS, TEXTS), min_size=1, max_size=4),
    dialect=dialects(),
)
def test_a_table_of_any_dialect_holds_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], dialect: dict
) -> None:
    names = ["path", "age", "own name"]
    text = io.StringIO(newline="")
    writer = csv.writer(text, **dialect["options"])
    for row in (map(dialect["rename"], names), *rows):
        writer.writerow([*row, *[""] * dialect["behind"]])
    content = (dialect["above"] + text.getvalue()).encode(dialect["encoding"])
    table = delimited.read(write(tmp_path_factory.getbasetemp(), content), ("age", "path"))
    assert list(table[names].itertuples(index=False, name=None)) == rows
    assert not table["surplus"].any()


def test_a_row_of_separators_in_quotes_is_a_row(tmp_path: Path) -> None:
    table = delimited.read(write(tmp_path, 'path,age\n",",\n;;\n,\n'), ("path", "age"))
    assert table["path"].to_list() == [",", ";;"]


def test_rows_are_counted_with_the_lines_above_the_header(tmp_path: Path) -> None:
    path = write(tmp_path, '\nsep=;\n\npath;age\na;3\n"b\nc";4\n\nd;5\n')
    table = delimited.read(path, ("path", "age"))
    assert table["row"].to_list() == [5, 7, 9]
    with pytest.raises(DataError, match="damaged near line 5"):
        delimited.read(write(tmp_path, '\nsep=;\n\npath;age\n"a;3\n'), ("path",))


def test_the_separator_is_that_with_which_the_columns_are_there(tmp_path: Path) -> None:
    path = write(tmp_path, "path;age;note, with, many, commas\na;3;x\n")
    assert delimited.read(path, ("path", "age"))["age"].to_list() == ["3"]


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
        ("name;years\na;3\n", "begins with 'name;years', which names none"),
        ("name;age\na;3\n", "has 1 rows and the columns: name, age"),
        ("path,age,age\na,3,4\n", "each once"),
        (
            "path,age\rb,4\rcaf\xe9,3\n".encode("latin-1"),
            "not UTF-8.*line 3, 'caf\N{REPLACEMENT CHARACTER},3'",
        ),
        ("\ufeffpath,age\n".encode() + b"\xe2\x82", "not UTF-8.*line 2"),
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
