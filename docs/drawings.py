"""The drawings of the documentation, made from the code: `python docs/drawings.py [FOLDER]`.

`images/house.svg` shows who may import whom, from the contracts in pyproject.toml and the first
sentences of the packages; `images/way.svg` the way of the data, from the pipeline and the catalog.
"""

import ast
import os
import re
import shutil
import sys
import tempfile
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
PROTOCOL, FOLD = "synthetic_se", "fold_0"

WIDTH, MARGIN, GAP = 980, 16, 8
UPPER, GROUND, DATA = "#dbe7f6", "#e4f1df", "#fdf0d9"
"""Fills of the rooms."""

ABREAST = 3
"""Rooms in one row; further ones of a layer stand close below it."""


def lay_out(folder: Path) -> Path:
    """Make a project without data or settings of its own; one that is there stays as it is."""
    if not folder.exists():
        shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, folder / name)
        # Kedro asks for the one; settings go into the other.
        for name in ("src", "conf/local"):
            (folder / name).mkdir()
    return folder


def house() -> str:
    """Draw the rooms of the house, each standing on those that it may import."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = [each for each in tool["importlinter"]["contracts"] if each["type"] == "layers"]
    floors = {each["name"].removeprefix("The order of the "): each["layers"] for each in layers}
    marks, top = [], MARGIN
    for name, fill in (("upper floor", UPPER), ("ground floor", GROUND)):
        about = "Kedro and MLflow" if name == "upper floor" else "plain Python: arrays and tables"
        marks.append(_text(MARGIN, top + 14, f"{name.capitalize()}, {about}", bold=True))
        top += 24
        for layer in floors[name]:
            rooms = [room.strip().removeprefix("contrastive_age.") for room in layer.split("|")]
            for first in range(0, len(rooms), ABREAST):
                row = rooms[first : first + ABREAST]
                marks += _row(top, [(room, _first_words(room)) for room in row], fill)
                top += 44 + (GAP if first + ABREAST >= len(rooms) else GAP // 2)
        top += GAP
    told = "Every room may import from the rows below it, and from no room beside or above."
    marks.append(_text(MARGIN, top + 8, told))
    return _svg(top + 28, marks)


def way() -> str:
    """Draw the stages that photos go through, and the files that each of them leaves."""
    marks, top, before = [], MARGIN, False
    for stage, words, in_fold, files in stages():
        height = 36 + 18 * len(files)
        if in_fold and not before:
            marks.append(_text(MARGIN, top + 14, "once for each fold, side by side:", bold=True))
            top += 24
        left = MARGIN + 40 * in_fold
        marks.append(_box(left, top, WIDTH - left - MARGIN, height, GROUND if in_fold else DATA))
        marks.append(_text(left + 12, top + 20, stage, bold=True))
        marks.append(_text(left + 120, top + 20, words))
        marks += [
            _text(left + 120, top + 40 + 18 * line, file, mono=True)
            for line, file in enumerate(files)
        ]
        top += height + GAP
        before = in_fold
    return _svg(top + MARGIN, marks)


def stages() -> list[tuple[str, str, bool, list[str]]]:
    """Name the stages of a protocol in their order, what each does and writes, and if in a fold."""
    from kedro.framework.project import pipelines
    from kedro.framework.startup import bootstrap_project

    from contrastive_age.parameters.loader import settings_of
    from contrastive_age.running.place import Place

    # As everyone has it who has set nothing.
    os.environ.pop("KEDRO_ENV", None)
    with tempfile.TemporaryDirectory() as folder:
        project = lay_out(Path(folder).resolve() / "project")
        bootstrap_project(project)
        context = Place(project).context({})
        settings = settings_of(context.config_loader["parameters"])
        made: dict[tuple[str, str, bool], list[str]] = {}
        for node in pipelines[PROTOCOL].nodes:
            namespace = str(node.namespace)
            if ".fold_" in namespace and not namespace.endswith(FOLD):
                continue
            names = {FOLD: "<fold>", settings[PROTOCOL].key: "<setting>", PROTOCOL: "<protocol>"}
            words = _first_sentence(node.func.__doc__ or "")
            stage = (node.name.removeprefix(namespace + "."), words, ".fold_" in namespace)
            for output in node.outputs:
                file = Path(context.catalog.get(output).path)
                path = file.relative_to(project / "data").as_posix()
                for word, shown in (names | {"synthetic": "<source>"}).items():
                    path = path.replace(word, shown)
                made.setdefault(stage, []).append(path)
    return [(*stage, files) for stage, files in made.items()]


def _first_words(room: str) -> str:
    """The first sentence of a package's or module's docstring."""
    place = ROOT / "src" / "contrastive_age" / room
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return _first_sentence(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "")


def _first_sentence(said: str) -> str:
    return re.split(r"[.:;]\s|[.:;]$", " ".join(said.split()), maxsplit=1)[0].replace("`", "")


def _row(top: int, rooms: list[tuple[str, str]], fill: str) -> list[str]:
    width = (WIDTH - 2 * MARGIN - GAP * (len(rooms) - 1)) / len(rooms)
    marks = []
    for place, (name, words) in enumerate(rooms):
        left = MARGIN + place * (width + GAP)
        fits = int((width - 20) / 6)
        shown = words if len(words) <= fits else words[: fits - 1].rsplit(" ", 1)[0] + " …"
        marks += [
            _box(left, top, width, 44, fill),
            _text(left + 10, top + 18, name, bold=True),
            _text(left + 10, top + 35, shown, size=11),
        ]
    return marks


def _box(left: float, top: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" rx="4" '
        f'fill="{fill}" stroke="#667"/>'
    )


def _text(
    left: float, top: float, words: str, *, bold: bool = False, mono: bool = False, size: int = 13
) -> str:
    family = "monospace" if mono else "sans-serif"
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{left:.0f}" y="{top:.0f}" font-family="{family}" font-size="{size}"{weight} '
        f'fill="#223">{escape(words)}</text>'
    )


def _svg(height: float, marks: list[str]) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    ground = f'<rect width="{WIDTH}" height="{height:.0f}" fill="#fff"/>'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', ground, *marks, "</svg>"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else IMAGES
    for draw in (house, way):
        (folder / f"{draw.__name__}.svg").write_text(draw(), encoding="utf-8")
