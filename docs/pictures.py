"""The pictures of the README and the outputs of the notebooks, from drawn faces: `make pictures`.

A demo, a sweep of three settings and the report are run, or kept where they stand; then pages are
photographed in Chromium, which has to be installed with its driver.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from rich.console import Console
from rich.text import Text

from tests.browsers import chromium
from tests.servers import mlflow_server

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
REPORT = ROOT / "data" / "demo" / "08_reporting" / "report.html"
DATABASE = f"sqlite:///{ROOT / 'mlflow.db'}"

DEMO = ("run", "--env=demo", "--pipeline=final_model")
SWEEP = ("sweep", "--env=demo", "--pipeline=synthetic_se", "--set", "loss.lambda_c=0,1,8")
PAGE = ("run", "--env=demo", "--pipeline=paper_report")
COLUMNS = 100


def kedro(*arguments: str) -> str:
    """Run a command, and give what a terminal shows of it."""
    command = [sys.executable, "-m", "kedro", *arguments]
    environment = os.environ | {"COLUMNS": str(COLUMNS), "MLFLOW_TRACKING_URI": ""}
    done = subprocess.run(  # noqa: S603
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout)
    return done.stdout


def terminal(browser: Any, command: str, said: str) -> None:
    """Photograph what a command said."""
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(Text(f"$ {command}\n", style="bold") + Text.from_ansi(said), soft_wrap=True)
    page = console.export_html(inline_styles=True).replace(
        "<body>", '<body style="background: #fff; color: #223; margin: 1.5em; font-size: 15px">'
    )
    file = IMAGES / "terminal.html"
    try:
        file.write_text(page, encoding="utf-8")
        browser.get(file.as_uri())
        photograph(browser, "terminal.png", 960)
    finally:
        file.unlink()


def comparison(browser: Any, folder: Path) -> None:
    """Photograph MLflow's page of the settings."""
    shown = kedro("show-runs").split()
    address = next(each for each in shown if each.startswith("http"))
    with mlflow_server(DATABASE, folder) as server:
        browser.set_window_size(1280, 620)
        browser.get(address.replace("http://127.0.0.1:5000", server))
        # The page is drawn in steps, none of which says that it is the last.
        time.sleep(15)
        browser.save_screenshot(str(IMAGES / "mlflow_runs.png"))


def report(browser: Any) -> None:
    """Photograph the report's top."""
    browser.get(REPORT.as_uri())
    photograph(browser, "report.png", 1000, 760)


def photograph(browser: Any, name: str, width: int, height: int | None = None) -> None:
    """Write a page as a picture, as high as it is or to a height in pixels."""
    browser.set_window_size(width, height or 600)
    whole = browser.execute_script("return document.documentElement.scrollHeight")
    bars = browser.execute_script("return window.outerHeight - window.innerHeight")
    browser.set_window_size(width, bars + (height or whole))
    browser.save_screenshot(str(IMAGES / name))


def run_notebook(path: Path) -> None:
    """Run a notebook, and keep what it shows in its file."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}).execute()
    for cell in notebook.cells:
        # When a cell ran is of no interest, and would be another each time.
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)


def main() -> None:
    """Make all of them."""
    said = kedro(*DEMO)
    kedro(*SWEEP)
    kedro(*PAGE)
    with chromium() as browser:
        terminal(browser, "make demo", said)
        comparison(browser, ROOT / "data" / "demo" / "mlflow_server")
        report(browser)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        run_notebook(path)


if __name__ == "__main__":
    main()
