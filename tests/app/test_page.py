"""The page: its words and pictures, and in a real browser what is dropped, clicked and read."""

import asyncio
import io
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from click.testing import CliRunner
from PIL import Image

import page_server
from browsers import chromium
from contrastive_age.cli import cli
from contrastive_age.errors import DataError
from contrastive_age.faces.detection import Detector
from contrastive_age.faces.mtcnn import load_mtcnn
from contrastive_age.inference.estimator import AgeEstimator
from contrastive_age.inference.model_file import save_model
from contrastive_age.inference.photos import Photo
from inference.models import untrained_model
from servers import PATIENCE, listening

app = pytest.importorskip("contrastive_age.app.page", reason="the extra `app` is not installed")

ROOT = Path(__file__).resolve().parents[2]
MADE = ("two.png", "text.jpg", "notes.txt", "dark.png")
"""What the tests themselves put beside the model."""


def jpeg(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG")
    return content.getvalue()


@pytest.mark.parametrize("load", [page_server.load, load_mtcnn])
def test_before_the_first_photo_everything_is_done_once(
    load: Callable[[], Detector], caplog: pytest.LogCaptureFixture
) -> None:
    loaded: list[Detector] = []

    def loading() -> Detector:
        loaded.append(load())
        return loaded[0]

    estimator = AgeEstimator(untrained_model(), device="cpu", load_detector=loading)
    with caplog.at_level(logging.DEBUG, logger=app.__name__):
        asyncio.run(app.warm_up(estimator))
    assert len(loaded) == 1
    assert "failed" not in caplog.text


def test_a_detector_that_cannot_be_loaded_does_not_keep_the_page_from_starting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> Detector:
        raise DataError("no weights")

    estimator = AgeEstimator(untrained_model(), device="cpu", load_detector=fail)
    with caplog.at_level(logging.DEBUG, logger=app.__name__):
        asyncio.run(app.warm_up(estimator))
    assert "Warming up failed" in caplog.text


def look(content: bytes, **options: Any) -> Any:
    estimator = AgeEstimator(
        untrained_model(), device="cpu", load_detector=page_server.load, **options
    )
    return app._look(estimator, content)


@pytest.mark.parametrize("content", [b"", b"no photo", jpeg(Image.new("RGB", (99, 99)))[:400]])
def test_what_is_no_photo_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(DataError, match=r"unreadable: .+"):
        look(content)


def test_a_photo_of_too_many_pixels_is_refused_in_words() -> None:
    with pytest.raises(DataError, match=r"unreadable: .* more than most_megapixels=0\.01; raise"):
        look(jpeg(page_server.two_faces()), most_megapixels=0.01)


def test_photos_are_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    content = io.BytesIO()
    page_server.two_faces().rotate(180).save(content, "JPEG", exif=exif)
    image, photo, _ = look(content.getvalue())
    assert image.size == photo.size == page_server.SIZE
    assert len(photo.faces) == 2
    left = image.getpixel((5, 5))
    assert left == pytest.approx((190, 205, 215), abs=9)


@pytest.mark.parametrize("name", ["a.heic", "A.HEIF", "b.avif", "c.jfif", "d.jpe", "e.jp2"])
def test_photos_that_some_systems_do_not_know_can_be_chosen(name: str) -> None:
    assert Path(name).suffix.lower() in app.ACCEPTED.split(",")


def test_a_port_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    save_model(untrained_model(), tmp_path / "m.pt")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(cli, ["app", f"--model={tmp_path}/m.pt", f"--port={port}"])
    assert done.exit_code == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in done.output
    assert "--port" in done.output


def test_a_missing_model_is_refused_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["app", f"--model={tmp_path}/none.pt"])
    assert done.exit_code == 1
    assert "no such model" in done.output


def test_without_the_extra_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)
    done = CliRunner().invoke(cli, ["app", "--model=none.pt"])
    assert done.exit_code == 1
    assert "contrastive-age[app]" in done.output


@dataclass(frozen=True)
class Page:
    """The page in a browser, and the process that serves it."""

    browser: Any
    address: str
    server: psutil.Process
    folder: Path

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.browser.find_elements("css selector", selector))

    def until(self, condition: Any, what: str) -> Any:
        from selenium.common.exceptions import (
            NoSuchElementException,
            StaleElementReferenceException,
        )
        from selenium.webdriver.support.ui import WebDriverWait

        ignored = (NoSuchElementException, StaleElementReferenceException)
        wait = WebDriverWait(self.browser, PATIENCE, 0.1, ignored)
        return wait.until(lambda _: condition(), what)

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def open(self) -> None:
        self.resize(1280, 900)
        self.browser.get(self.address)
        ready = "return document.body.dataset.ready"
        self.until(lambda: self.browser.execute_script(ready) == "yes", "photos can be dropped")
        self.until(lambda: self.find(".age-drop").is_displayed(), "the page opens")

    def drop(self, path: Path) -> None:
        """Drag a file onto the page and let it go, away from the button."""
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": 600, "y": 700, "data": data}
            self.browser.execute_cdp_cmd("Input.dispatchDragEvent", event)

    def choose(self, path: Path) -> None:
        self.find("input[type=file]").send_keys(str(path))

    def problem(self, name: str) -> str:
        self.until(lambda: name in self.find(".age-problem").text, f"{name} is refused")
        return str(self.find(".age-problem").text)

    def overflow(self) -> list[str]:
        """What is wider than the window, itself or by what it holds."""
        script = """
        const width = document.documentElement.clientWidth;
        return [...document.querySelectorAll(".age-page, .age-page *")]
          .filter((one) => one.getBoundingClientRect().right > width + 1)
          .map((one) => one.className || one.tagName)
          .concat(document.documentElement.scrollWidth > width ? ["the page"] : []);
        """
        return list(self.browser.execute_script(script))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    save_model(untrained_model(image_size=96), folder / "age_model.pt")
    command = [sys.executable, "-m", "page_server", "app", f"--model={folder / 'age_model.pt'}"]
    # NiceGUI behaves otherwise inside pytest.
    environment = {key: own for key, own in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    server, port = listening(command, folder, environment)
    said = folder / "said.txt"
    try:
        with chromium() as browser:
            own = Page(browser, f"http://127.0.0.1:{port}", server, folder)
            assert f"Open {own.address}" in said.read_text(encoding="utf-8")
            own.open()
            yield own
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 0, said.read_text(encoding="utf-8")
    assert "Traceback" not in said.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def expected() -> Photo:
    """What the estimator itself says of the photo."""
    model = untrained_model(image_size=96)
    estimator = AgeEstimator(model, device="cpu", load_detector=page_server.load)
    [own] = estimator.predict([page_server.two_faces()])
    return own


@pytest.fixture(scope="module")
def two(page: Page) -> Path:
    path = page.folder / "two.png"
    page_server.two_faces().save(path, compress_level=0)
    # So much that it would go through a temporary file, were it not kept in memory.
    assert path.stat().st_size > 2**20
    return path


def test_a_dropped_photo_shows_its_faces_and_a_click_on_a_box_the_age(
    page: Page, two: Path, expected: Photo
) -> None:
    page.open()
    page.drop(two)
    page.until(lambda: page.find("#age-title").text == "Face 1 of 2", "the first face is shown")
    page.until(lambda: "two.png" in page.find(".age-done").text, "its faces are counted")
    assert "Faces below 24 pixels are not looked for." in page.find(".age-done").text
    boxes = page.all(".age-box")
    assert [box.text for box in boxes] == ["1", "2"]

    boxes[1].click()
    page.until(lambda: page.find("#age-title").text == "Face 2 of 2", "the second face is shown")
    face = expected.faces[1]
    assert page.find(".age-years").text == f"{face.age:.0f} years"
    for level, (low, high) in face.intervals.items():
        told = page.find(f"dd[data-level='{level}']").text
        assert told == f"{low:.0f} to {high:.0f} years"
    chosen = ["age-on" in box.get_attribute("class").split() for box in boxes]
    assert chosen == [False, True]
    for picture in page.all(".age-photo > img, .age-pick img, figure img"):
        assert picture.get_property("naturalWidth") > 0


def test_boxes_lie_over_the_faces(page: Page, two: Path) -> None:
    page.open()
    page.choose(two)
    page.until(lambda: len(page.all(".age-box")) == 2, "the faces are shown")
    whole = page.find(".age-photo > img").rect
    scale = whole["width"] / page_server.SIZE[0]
    for box, (left, top, right, bottom) in zip(
        page.all(".age-box"), page_server.boxes(), strict=True
    ):
        found = box.rect
        assert found["x"] - whole["x"] == pytest.approx(left * scale, abs=1.5)
        assert found["y"] - whole["y"] == pytest.approx(top * scale, abs=1.5)
        assert found["width"] == pytest.approx((right - left) * scale, abs=1.5)
        assert found["height"] == pytest.approx((bottom - top) * scale, abs=1.5)


def test_faces_are_chosen_by_keyboard(page: Page, two: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    page.open()
    page.choose(two)
    page.until(lambda: page.find("#age-title").text == "Face 1 of 2", "the first face is shown")
    first, second = page.all("input[name=age-face]")
    first.send_keys(Keys.ARROW_RIGHT)
    page.until(lambda: page.find("#age-title").text == "Face 2 of 2", "the second face is shown")
    assert second.is_selected()


def test_what_is_no_photo_of_a_face_is_said_and_the_next_photo_works(page: Page, two: Path) -> None:
    (page.folder / "text.jpg").write_text("no photo")
    (page.folder / "notes.txt").write_text("no photo")
    Image.new("RGB", (300, 200), (20, 20, 20)).save(page.folder / "dark.png")
    page.open()
    page.choose(page.folder / "text.jpg")
    assert "unreadable" in page.problem("text.jpg")
    page.drop(page.folder / "notes.txt")
    assert "it is not called as a photo is" in page.problem("notes.txt")
    page.choose(page.folder / "dark.png")
    assert "no face found" in page.problem("dark.png")
    assert "Faces below 24 pixels are not looked for." in page.problem("dark.png")
    assert not page.all(".age-columns")[0].is_displayed()
    page.choose(two)
    page.until(lambda: page.find("#age-title").text == "Face 1 of 2", "a face is shown")
    page.until(lambda: not page.all(".age-problem"), "no problem is left")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(page: Page, two: Path, width: int) -> None:
    page.open()
    page.resize(width, 844)
    assert page.overflow() == []
    page.choose(two)
    page.until(lambda: page.find(".age-years").is_displayed(), "a face is shown")
    page.find(".age-card summary").click()
    page.until(lambda: page.find(".age-card .nicegui-markdown").is_displayed(), "the card opens")
    assert page.overflow() == []


def test_the_page_is_for_this_machine_and_asks_no_other_for_anything(page: Page, two: Path) -> None:
    page.browser.get_log("performance")
    page.browser.get_log("browser")
    page.open()
    page.choose(two)
    page.until(lambda: page.find(".age-years").is_displayed(), "a face is shown")
    said = [
        json.loads(entry["message"])["message"] for entry in page.browser.get_log("performance")
    ]
    asked = [
        own["params"]["request"]["url"]
        for own in said
        if own["method"] == "Network.requestWillBeSent"
    ] + [own["params"]["url"] for own in said if own["method"] == "Network.webSocketCreated"]
    assert any(url.startswith("ws://") for url in asked)
    here = (f"{page.address}/", page.address.replace("http", "ws") + "/", "data:", "blob:")
    assert [url for url in asked if not url.startswith(here)] == []
    assert page.browser.get_log("browser") == []

    listening = {
        (own.laddr.ip, own.laddr.port)
        for process in (page.server, *page.server.children(recursive=True))
        for own in process.net_connections("inet")
        if own.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", int(page.address.rsplit(":", 1)[1]))}

    answer = requests.get(page.address, timeout=PATIENCE)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    foreign = requests.get(page.address, headers={"Host": "elsewhere.example"}, timeout=PATIENCE)
    assert foreign.status_code == 400


def test_nothing_is_left_on_disk(page: Page, two: Path) -> None:
    page.open()
    page.choose(two)
    page.until(lambda: page.find(".age-years").is_displayed(), "a face is shown")
    written = {path.name for path in page.folder.rglob("*")}
    assert written <= {"age_model.pt", "said.txt", *MADE}
