"""Paths that users give lead where they say, and nowhere else."""

from pathlib import Path

import pytest

from contrastive_age.errors import DataError
from contrastive_age.paths import expanded, is_address, sqlite_path, sqlite_uri


def test_the_home_folder_is_put_in_and_all_else_means_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~") == Path("/home/me")
    assert expanded("~/ages.csv") == expanded(Path("~/ages.csv")) == Path("/home/me/ages.csv")
    for text in ("a/~/b", "./~", "$HOME/b", "007", "a b #%41=ü", "s3:/b", ":memory:"):
        assert expanded(text) == Path(text)


@pytest.mark.parametrize("name", ["~nobody-of-that-name", "~nobody-of-that-name/w.pth"])
def test_a_user_whom_nobody_knows_has_no_home(name: str) -> None:
    with pytest.raises(DataError, match=r"a folder called so is \./~nobody-of-that-name$"):
        expanded(name)


@pytest.mark.parametrize("address", ["s3://bucket/a", "file:///a", "abfs+x://a"])
def test_an_address_is_no_path(address: str) -> None:
    assert is_address(address)
    with pytest.raises(DataError, match="is an address"):
        expanded(address)


@pytest.mark.parametrize(
    "name", ["plain", "50%20off", "100%", "a b", "a#b", "a?b", "grün", "a&b=c;d", "a:b@c", "a'b\"c"]
)
def test_the_address_of_a_database_is_read_as_its_path(name: str, tmp_path: Path) -> None:
    from sqlalchemy.engine import make_url

    path = tmp_path / name / "mlflow.db"
    uri = sqlite_uri(path)
    assert make_url(uri).database == str(path)
    assert sqlite_path(uri) == path
    # MLflow makes the folder in which the rest of the address would lie as a path.
    beside = Path(uri.removeprefix("sqlite:///")).parent
    assert beside in {path.parent, Path("/")}


def test_an_address_of_another_hand_is_read_as_it_is_written() -> None:
    assert sqlite_path("sqlite:///mlflow.db") == Path("mlflow.db")
    assert sqlite_path("sqlite:////a/my%20runs/m.db?timeout=9") == Path("/a/my runs/m.db")
