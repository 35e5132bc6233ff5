"""The page as a browser shows and prints it: widths, copied commands, and what is folded."""

from collections.abc import Iterator
from typing import Any

import pytest

from browsers import chromium
from contrastive_age.reporting import page
from contrastive_age.reporting.results import Measured
from reporting.runs import PAPERS, evidence

pytestmark = pytest.mark.endurance

CUT = """
    return [...document.querySelectorAll("tbody td, tbody th, code, dd")].filter(
        cell => cell.checkVisibility() && cell.scrollWidth > cell.clientWidth + 1
            && getComputedStyle(cell).display !== "inline"
    ).map(cell => cell.textContent);
"""
BEYOND = """
    return [...document.querySelectorAll(".box")].filter(
        box => box.scrollWidth > box.clientWidth + 1
    ).map(box => box.getAttribute("aria-label"));
"""
HIDDEN = """
    return [...document.querySelectorAll("details dd, details code, details td")].filter(
        each => !each.checkVisibility() || !each.offsetHeight
    ).map(each => each.outerHTML.slice(0, 200));
"""


@pytest.fixture(scope="module")
def browser(several: list[Measured], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with the page of `several` runs, whose MLflow ids are as long as real ones."""
    tables = page.tables(evidence(several))
    for name in ("measured", "your_runs"):
        tables[name]["runs"] = tables[name]["runs"].str.replace("run0", "0a1b2c3d" * 4)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page.render(tables, PAPERS), encoding="utf-8")
    with chromium() as opened:
        opened.get(path.as_uri())
        yield opened


def resize(browser: Any, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def unfold(browser: Any) -> None:
    browser.execute_script(
        "document.querySelectorAll('details').forEach(details => { details.open = true; })"
    )


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_no_page_is_wider_than_its_window(browser: Any, width: int) -> None:
    resize(browser, width)
    unfold(browser)
    widest = browser.execute_script("return document.documentElement.scrollWidth")
    assert widest <= width
    assert browser.execute_script(CUT) == []


def test_nothing_is_cut_at_1280_pixels(browser: Any) -> None:
    resize(browser, 1280)
    unfold(browser)
    assert browser.execute_script(BEYOND) == []
    assert "0a1b2c3d" * 4 in browser.find_element("id", "measured").text


def test_a_command_is_copied_by_keyboard_and_said(browser: Any) -> None:
    resize(browser, 1280)
    unfold(browser)
    granted = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", granted)
    button = browser.find_element("css selector", "button.copy")
    command = button.find_element("xpath", "..").find_element("tag name", "code")
    assert command.text.replace("\n", " ") in button.get_attribute("aria-label")
    button.send_keys("\ue007")  # Enter
    said = "return document.getElementById('said').textContent"
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait(browser, 10)
    assert wait.until(lambda shown: shown.execute_script(said)) == "Copied"
    copied = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == command.get_attribute("textContent")
    assert copied.startswith("kedro ")


def test_all_is_open_when_printed_and_folded_again(browser: Any) -> None:
    fold = "document.querySelectorAll('details').forEach(each => { each.open = false; })"
    folded = "return document.querySelectorAll('details:not([open])').length"
    browser.execute_script(fold)
    many = browser.execute_script(folded)
    assert many > 10
    assert browser.execute_script(HIDDEN)
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script(folded) == 0
    assert browser.execute_script(HIDDEN) == []
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(folded) == many
    # And by the style alone, where no script is run.
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.refresh()
    browser.execute_script(fold)
    assert browser.execute_script(HIDDEN) == []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_protocol_of_your_runs_has_room(browser: Any) -> None:
    resize(browser, 1280)
    cell = browser.find_element("css selector", "#your-runs tbody td:nth-child(4)")
    assert cell.size["width"] >= 220


def test_a_link_of_your_runs_opens_its_part(browser: Any) -> None:
    resize(browser, 1280)
    browser.execute_script(
        "document.querySelectorAll('details').forEach(each => { each.open = false; })"
    )
    link = browser.find_element("css selector", "#your-runs tbody a")
    place = link.get_attribute("hash").removeprefix("#")
    browser.execute_script("arguments[0].click()", link)
    assert browser.find_element("id", place).is_displayed()
