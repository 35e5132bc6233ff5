"""What decides a result is named, and what only documents it is not."""

from pathlib import Path

import pytest
import torch

from contrastive_age.provenance import code_digest, versions

CODE = """
def loss(x):
    return x**2
"""


def _digest(folder: Path, source: str) -> str:
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "loss.py").write_text(source)
    return code_digest([folder / "model"])


@pytest.mark.parametrize(
    "reworded",
    [
        CODE.replace("x**2", "x ** 2  # squared"),
        CODE.replace("    return", '    """Squares."""\n    return'),
        '"""A loss."""\n' + CODE,
    ],
)
def test_wording_and_layout_make_no_other_digest(tmp_path: Path, reworded: str) -> None:
    assert _digest(tmp_path, reworded) == _digest(tmp_path, CODE)


@pytest.mark.parametrize("changed", [CODE.replace("2", "3"), CODE.replace("loss", "losses")])
def test_another_formula_or_name_is_another_digest(tmp_path: Path, changed: str) -> None:
    assert _digest(tmp_path, changed) != _digest(tmp_path, CODE)


def test_another_file_is_another_digest(tmp_path: Path) -> None:
    before = _digest(tmp_path, CODE)
    (tmp_path / "model" / "other.py").write_text("")
    assert code_digest([tmp_path / "model"]) != before


def test_versions_name_libraries_and_code() -> None:
    found = versions()
    assert set(found) == {"numpy", "torch", "torchvision", "code"}
    assert torch.__version__.startswith(found["torch"])
    assert len(found["code"]) == 16
