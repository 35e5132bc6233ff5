"""The pictures that documents show are there, small, and all that there are."""

import re
from pathlib import Path

from conftest import ROOT
from docs.pictures import make_demo

SHOWN = re.compile(r"!\[[^\]]{10,}\]\(([^)]+)\)")
"""With words for those who do not see it."""


def pictures(document: Path) -> set[Path]:
    named = SHOWN.findall(document.read_text(encoding="utf-8"))
    return {(document.parent / name).resolve() for name in named}


def test_each_picture_is_shown_and_small() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = set().union(*map(pictures, documents))
    assert shown == set((ROOT / "docs" / "images").iterdir())
    assert {path.name for path in shown if path.stat().st_size > 250_000} == set()


def test_the_picture_of_make_demo_ends_as_the_documents_say() -> None:
    quick_start = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    shown = quick_start.partition("```text\n")[2].partition("```")[0]
    run, _, echoed = shown.partition("A photo for them")
    assert echoed
    assert make_demo(run) == shown.rstrip()
