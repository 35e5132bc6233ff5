"""The pictures of the documents, and what the notebooks show: `make pictures`.

A demo, a sweep, the report and docs/tutorial.md are run in `build/pictures`; what was run there
before is kept by `python -m docs.pictures`. Then pages are photographed in Chromium, which has to
be installed with its driver. The documents quote numbers that are seen in them.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

from docs.drawings import ROOT, lay_out
from tests.browsers import chromium
from tests.page_server import two_faces
from tests.servers import PATIENCE, listening, mlflow_server

IMAGES = ROOT / "docs" / "images"
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")

DEMO = "kedro run --env=demo --pipeline=final_model"
SWEEP = "kedro sweep --env=demo --pipeline=synthetic_se --set loss.lambda_c=0,1,8"
PAGE = "kedro run --env=demo --pipeline=paper_report"

COLUMNS = 92
"""Of the terminal."""

SCALE = 1.5
"""Pixels of a picture for one of a page: sharp on screens with small ones, too."""

_ECHO = re.compile(r'^\t@echo "(.*)"$', re.MULTILINE)

_BLOCK = re.compile(r'^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)

_BOUNDS = """
    const [first, last, margin] = arguments;
    const start = document.querySelector(first).getBoundingClientRect();
    const end = document.querySelector(last).getBoundingClientRect();
    return {
        x: start.left - margin, y: start.top + scrollY - margin,
        width: start.width + 2 * margin, height: end.bottom - start.top + 2 * margin,
    };
"""

_TERMINAL = """
    const shown = document.body.appendChild(document.createElement("pre"));
    shown.style = "background: #1d2330; color: #e8eaf0; font: 14px/16px monospace; padding: 14px;" +
        "white-space: pre-wrap; word-break: break-all; " + arguments[1];
    shown.textContent = arguments[0];
"""


def say(project: Path, line: str) -> str:
    """Run a line of a shell in a project, once, and give what a terminal shows of it."""
    book = project / "said.json"
    said = json.loads(book.read_text(encoding="utf-8")) if book.exists() else {}
    if line not in said:
        program, *arguments = shlex.split(line)
        module = {"python": [], "kedro": ["-m", "kedro"]}[program]
        done = subprocess.run(  # noqa: S603
            [sys.executable, *module, *arguments],
            cwd=project,
            env=os.environ
            | {"COLUMNS": str(COLUMNS), "MLFLOW_TRACKING_URI": "", "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{line}\n{done.stdout}")
        # Where this project lies is nobody's business.
        said[line] = done.stdout.replace(f"{project}/", "")
        book.write_text(json.dumps(said, indent=1), encoding="utf-8")
    return str(said[line])


def walk(tutorial: str, project: Path) -> dict[str, str]:
    """Write the files and run the lines of a page's blocks; gives what each line said."""
    said = {}
    for kind, title, text in _BLOCK.findall(tutorial):
        if title:
            (project / title).parent.mkdir(parents=True, exist_ok=True)
            (project / title).write_text(text, encoding="utf-8")
        elif kind == "sh":
            said |= {line: say(project, line) for line in text.replace("\\\n", "").splitlines()}
    return said


def terminal(browser: Any, name: str, line: str, said: str) -> None:
    """Photograph what a command said."""
    browser.get("about:blank")
    browser.execute_script(_TERMINAL, f"$ {line}\n{said.strip()}", f"width: {COLUMNS}ch")
    photograph(browser, name, "pre")


def make_demo(said: str) -> str:
    """What `make demo` says: what the run said, and then what the Makefile does."""
    demo = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2]
    echoed = _ECHO.findall(demo.partition("\n\n")[0])
    return "\n".join([said.rstrip(), *echoed]).replace("$(VENV)", ".venv")


def app(browser: Any, project: Path) -> None:
    """Photograph the page of the project's model with a photo of two drawn faces on it."""
    folder = project / "app"
    folder.mkdir(exist_ok=True)
    two_faces().save(folder / "two.jpg", quality=95)
    (model,) = project.glob("data/demo/06_models/*/*/final/age_model.pt")
    command = [sys.executable, "-m", "kedro", "app", f"--model={model}"]
    own = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    server, port = listening(command, folder, own)
    try:
        browser.get(f"http://127.0.0.1:{port}")
        until(browser, "document.body.dataset.ready === 'yes'")
        dropped = {"items": [], "files": [str(folder / "two.jpg")], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": 600, "y": 700, "data": dropped}
            browser.execute_cdp_cmd("Input.dispatchDragEvent", event)
        until(browser, "document.querySelectorAll('.age-box').length === 2")
        browser.find_elements("css selector", ".age-box")[1].click()
        until(browser, "document.querySelector('#age-title').textContent.includes('2 of 2')")
        # Its pictures come after its words.
        pictures = "[...document.querySelectorAll('.age-page img')]"
        until(browser, f"{pictures}.every((one) => one.complete && one.naturalWidth)")
        photograph(browser, "app.jpg", ".age-page", ".age-card")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(PATIENCE)


def until(browser: Any, condition: str) -> None:
    """Wait until a condition in JavaScript holds."""
    from selenium.webdriver.support.ui import WebDriverWait

    wait = WebDriverWait(browser, PATIENCE)
    wait.until(lambda _: browser.execute_script(f"return {condition}"), condition)


def comparison(browser: Any, project: Path) -> None:
    """Photograph MLflow's page of the settings."""
    address = next(each for each in say(project, "kedro show-runs").split() if "://" in each)
    with mlflow_server(f"sqlite:///{project / 'mlflow.db'}", project / "server") as server:
        browser.get(address.replace("http://127.0.0.1:5000", server))
        # The page is drawn in steps, none of which says that it is the last.
        time.sleep(25)
        for part in ("assistant.chat_panel.close", "experiment_page.shared_view.dismiss"):
            browser.find_element("css selector", f"[data-component-id='mlflow.{part}']").click()
        time.sleep(5)
        photograph(browser, "mlflow_runs.png", "main")


def photograph(browser: Any, name: str, first: str, last: str = "", *, margin: int = 0) -> None:
    """Write a part of a page as a picture, from an element to another."""
    clip = browser.execute_script(_BOUNDS, first, last or first, margin) | {"scale": SCALE}
    taken = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
    )
    png = b64decode(taken["data"])
    if name.endswith(".png"):
        (IMAGES / name).write_bytes(fewer_colours(png))
    else:
        Image.open(BytesIO(png)).convert("RGB").save(IMAGES / name, quality=80)


def fewer_colours(png: bytes) -> bytes:
    """Give a picture as a smaller PNG of 256 colours."""
    made = BytesIO()
    picture = Image.open(BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
    return made.getvalue()


def photos(folder: Path) -> list[Path]:
    """List photos that are named by ages: person by person, the young first."""
    return sorted(folder.rglob("*.jpg"), key=lambda photo: (photo.parent, int(photo.stem)))


def sheet(name: str, photos: list[Path], columns: int, side: int) -> None:
    """Lay photos side by side, each in a square of so many pixels."""
    rows = -(-len(photos) // columns)
    picture = Image.new("RGB", (columns * side, rows * side), "white")
    for place, photo in enumerate(photos):
        at = (place % columns * side, place // columns * side)
        picture.paste(Image.open(photo).convert("RGB").resize((side, side)), at)
    picture.save(IMAGES / name, quality=85)


def run_notebook(path: Path, project: Path) -> None:
    """Run a notebook in a project, and keep what it shows in its file."""
    notebook = nbformat.read(path, as_version=4)
    before = notebook.metadata.copy()
    NotebookClient(notebook, resources={"metadata": {"path": str(project)}}).execute()
    # When a cell ran, and with which Python, is of no interest, and would be another each time.
    notebook.metadata = before
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in (data := output.get("data", {})):
                png = fewer_colours(b64decode(data["image/png"]))
                data["image/png"] = b64encode(png).decode()
    nbformat.write(notebook, path)


def main() -> None:
    """Make all of them."""
    demo = lay_out(ROOT / "build" / "pictures" / "demo")
    said = say(demo, DEMO)
    # Of the demo's own setting, before there are others.
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        run_notebook(path, demo)
    sheets = demo.glob("data/demo/08_reporting/*/*/faces_sheet.png")
    oldest = min(sheets, key=lambda path: path.stat().st_mtime)
    (IMAGES / "demo.png").write_bytes(fewer_colours(oldest.read_bytes()))
    for line in (SWEEP, PAGE):
        say(demo, line)
    project = lay_out(ROOT / "build" / "pictures" / "tutorial")
    lines = walk(TUTORIAL, project)
    sheet("tutorial_album.jpg", photos(project / "album")[:24], 6, 140)
    sheet("tutorial_ages.jpg", photos(project / "drawn"), 3, 280)
    with chromium() as browser:
        browser.set_window_size(1340, 580)
        terminal(browser, "terminal.png", "make demo", make_demo(said))
        comparison(browser, demo)
        browser.set_window_size(1000, 900)
        app(browser, demo)
        browser.set_window_size(1280, 800)
        browser.get((demo / "data" / "demo" / "08_reporting" / "report.html").as_uri())
        photograph(browser, "report.png", "#your-runs", "#sweeps", margin=16)
        first = next(line for line in lines if line.startswith("kedro run"))
        terminal(browser, "tutorial_run.png", first, lines[first])
        browser.get((project / "data" / "08_reporting" / "report.html").as_uri())
        photograph(browser, "tutorial_report.png", "#your-runs", "#comparisons", margin=16)


if __name__ == "__main__":
    main()
