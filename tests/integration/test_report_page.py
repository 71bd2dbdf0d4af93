"""Reports in a browser: an empty console, zoom and layers by keys, a phone's width, contrast, one sheet of paper."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="the extra node-tests is not installed (make optional)")
import pypdfium2
from dicom_films import detection_on
from made_measurements import NORM, measurement
from samples import radiograph
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from monai_ceph.analysis import Measurement, measure
from monai_ceph.reports.comparison import comparison
from monai_ceph.reports.film_picture import film_png
from monai_ceph.reports.html_report import BatchEntry, batch_html, comparison_html, report_html
from monai_ceph.reports.report_content import film_report
from monai_ceph.reports.report_figure import film_figure

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()),
    reason="Chromium is not installed (apt-get install chromium chromium-driver)",
)
PAGES = ("film", "batch", "comparison")

# every visible text against the colour behind it, by the formula of WCAG 2.1
CONTRAST = """
const part = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const light = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => sum + share * part(colour[i]), 0);
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const colour = parse(getComputedStyle(element).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
const found = [];
for (const element of document.querySelectorAll("body *:not(svg *, script)")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !element.checkVisibility()) continue;
  const [one, two] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
  const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  if (ratio < 4.5) found.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(1)}`);
}
return found;
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    switches = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    for switch in (*switches.split(), "--disable-component-update", "--disable-sync", "--window-size=1200,1000"):
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def normed(measurements: tuple[Measurement, ...]) -> list[Measurement]:
    """Give every angle that was measured a norm, so that the page is as full as it gets."""
    return [
        each.model_copy(update={"norm": NORM, "deviation": 1.5, "flag": "above", "certain": index % 2 == 0})
        if each.unit == "degree" and each.value is not None
        else each
        for index, each in enumerate(measurements)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report, a comparison and a batch, as full as they get."""
    root = tmp_path_factory.mktemp("reports")
    detection = detection_on(file="a name that is rather long and has no end/" + "x" * 60)
    picture = film_png(radiograph(400, 300))
    page = report_html(
        film_report(detection, normed(measure(detection))), film_figure(detection, picture), "batch.html"
    )
    (root / "film.html").write_text(page, encoding="utf-8")
    other = detection_on(file="later", image_uid="1.2.3.4")
    compared = comparison(detection, other, (measure(detection), [*measure(other), measurement("X", 1.0)]), ["Look."])
    (root / "comparison.html").write_text(comparison_html(compared), encoding="utf-8")
    entry = BatchEntry(detection.file, "film.html", "uncertain: S", 1.0, picture)
    (root / "batch.html").write_text(batch_html([entry], [("y" * 90, "rejected: no cephalogram")]), encoding="utf-8")
    return root


@pytest.fixture
def browser(chromium: Chrome, folder: Path) -> Callable[[str], Chrome]:
    def opened(name: str) -> Chrome:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chromium.get("about:blank")
        chromium.get_log("browser")
        chromium.get((folder / f"{name}.html").as_uri())
        return chromium

    return opened


def view_box(browser: Chrome) -> list[float]:
    text = browser.execute_script("return document.querySelector('.view > svg').getAttribute('viewBox')")
    return [float(number) for number in text.split()]


def displayed(browser: Chrome, layer: str) -> bool:
    script = "return getComputedStyle(document.getElementById(arguments[0])).display"
    return bool(browser.execute_script(script, layer) != "none")


@pytest.mark.parametrize("name", PAGES)
class TestEveryPage:
    def test_nothing_in_the_console(self, browser: Callable[[str], Chrome], name: str) -> None:
        page = browser(name)
        assert "Research use" in page.find_element(By.TAG_NAME, "body").text
        assert page.get_log("browser") == []

    @pytest.mark.parametrize("width", [320, 390, 800])
    def test_no_scrolling_to_the_side(self, browser: Callable[[str], Chrome], name: str, width: int) -> None:
        page = browser(name)
        screen: dict[str, Any] = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        assert page.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]

    def test_contrast(self, browser: Callable[[str], Chrome], name: str) -> None:
        assert browser(name).execute_script(CONTRAST) == []


class TestKeys:
    def test_zoom_and_move(self, browser: Callable[[str], Chrome]) -> None:
        page = browser("film")
        whole = view_box(page)
        view = page.find_element(By.CSS_SELECTOR, ".view")
        page.execute_script("arguments[0].focus()", view)
        ActionChains(page).send_keys("+").perform()
        zoomed = view_box(page)
        assert zoomed[2] == pytest.approx(whole[2] / 1.5, rel=1e-3)
        ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
        assert view_box(page)[0] == pytest.approx(zoomed[0] + 0.1 * zoomed[2], rel=1e-3)
        # never beyond the film
        ActionChains(page).send_keys(Keys.ARROW_RIGHT * 30).perform()
        assert view_box(page)[0] == pytest.approx(whole[0] + whole[2] - zoomed[2], rel=1e-3)
        ActionChains(page).send_keys("0").perform()
        assert view_box(page) == pytest.approx(whole, rel=1e-3)

    def test_a_layer_by_the_space_bar(self, browser: Callable[[str], Chrome]) -> None:
        page = browser("film")
        box = page.find_element(By.CSS_SELECTOR, "input[data-layer=layer-labels]")
        assert displayed(page, "layer-labels")
        box.send_keys(Keys.SPACE)
        assert not displayed(page, "layer-labels")
        assert displayed(page, "layer-points")
        box.send_keys(Keys.SPACE)
        assert displayed(page, "layer-labels")

    def test_each_figure_of_a_comparison_by_itself(self, browser: Callable[[str], Chrome]) -> None:
        page = browser("comparison")
        page.find_element(By.CSS_SELECTOR, "input[data-layer=sn-layer-second]").send_keys(Keys.SPACE)
        assert not displayed(page, "sn-layer-second")
        assert displayed(page, "palatal-layer-second")

    def test_buttons_have_names(self, browser: Callable[[str], Chrome]) -> None:
        page = browser("film")
        # those of single planes have their names once they are unfolded
        for summary in page.find_elements(By.CSS_SELECTOR, "summary"):
            summary.send_keys(Keys.ENTER)
        names = [each.accessible_name for each in page.find_elements(By.CSS_SELECTOR, "button, input, .view, summary")]
        assert len(names) > 10
        assert all(names)


def test_a_report_fits_on_one_sheet(browser: Callable[[str], Chrome]) -> None:
    printed = browser("film").execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    document = pypdfium2.PdfDocument(base64.b64decode(printed["data"]))
    width, height = document[0].get_size()
    assert (width / 72 * 25.4, height / 72 * 25.4) == pytest.approx((210, 297), abs=1)
    assert len(document) == 1, [page.get_textpage().get_text_range() for page in document][1]
    text = document[0].get_textpage().get_text_range()
    assert "DRAFT: not reviewed" in text
    assert "weights SHA-256" in text
    # what is only for the screen
    assert "Layers" not in text
