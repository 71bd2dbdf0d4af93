"""Fingers, the right mouse button, and what a page does at its edges: blind, with a token, left with unsaved work."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
pytest.importorskip("selenium", reason="the extra node-tests is not installed (make optional)")
from review_browser import (
    NAME,
    ON_FILM,
    SECONDS,
    Page,
    Server,
    browsing,
    needs_chromium,
    opened,
    serving,
    write_results,
)
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import alert_is_present
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = needs_chromium
TOKEN = "0123456789abcdef0123"
# WCAG 2.2, 1.4.3; where a person asks for more contrast 1.4.6
ENOUGH, MORE = 4.5, 7.0
CONTRASTS = """
const numbers = text => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, index) => sum + v * [0.2126, 0.7152, 0.0722][index], 0);
const behind = element => {
  for (let one = element; one; one = one.parentElement) {
    const colour = numbers(getComputedStyle(one).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
const found = [];
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!own || element.closest('svg, :disabled, [hidden], #said') || !element.getClientRects().length) continue;
  const [one, two] = [light(numbers(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
  found.push([(one + 0.05) / (two + 0.05), element.textContent.trim().slice(0, 40)]);
}
return found;
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("hand") / "work"
    write_results(root, 7, missing=5)
    with serving(root) as server:
        yield server


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("profile"), asking=True) as driver:
        yield driver


@pytest.fixture
def page(chromium: Chrome, server: Server) -> Iterator[Page]:
    yield from opened(chromium, server)


def test_a_finger_drags_a_point(page: Page, server: Server) -> None:
    page.open("film000")
    page.settled()
    ratio = page.scale()
    x, y = page.middle('g[data-symbol="Ar"] .hit')
    # beside the middle, as fingers are; the point keeps its distance from the finger
    page.touch("touchStart", (x + 6, y + 4))
    for step in range(1, 6):
        page.touch("touchMove", (x + 6 + 10 * step, y + 4 - 6 * step))
    page.wait(lambda: page.driver.find_element(By.CSS_SELECTOR, ".loupe").is_displayed(), "the loupe")
    page.touch("touchEnd")
    page.saved()
    found = server.point("film000", "Ar")
    assert found is not None
    assert (found["x"], found["y"]) == pytest.approx((200.25 + 50 / ratio, 230.75 - 30 / ratio), abs=0.1)


def test_two_fingers_zoom_and_one_moves_the_film(page: Page, server: Server) -> None:
    page.open("film001")
    page.settled()
    before = page.scale()
    x, y = page.middle("#stage")
    page.touch("touchStart", (x - 40, y), (x + 40, y))
    for step in range(1, 11):
        page.touch("touchMove", (x - 40 - 8 * step, y), (x + 40 + 8 * step, y))
    page.touch("touchEnd")
    page.wait(lambda: page.scale() > 2 * before, "closer")
    page.settled()
    assert page.scale() == pytest.approx(3 * before, rel=0.1)
    left = page.driver.execute_script(ON_FILM, "S")[0]
    page.touch("touchStart", (x, y + 200))
    for step in range(1, 6):
        page.touch("touchMove", (x - 12 * step, y + 200))
    page.touch("touchEnd")
    page.wait(lambda: page.driver.execute_script(ON_FILM, "S")[0] < left - 40, "moved")
    assert server.revisions("film001") == []


def test_a_drag_with_the_right_button_changes_window_and_level_alone(page: Page, server: Server) -> None:
    page.open("film002")
    page.settled()
    values = "return ['width', 'center'].map(id => Number(document.getElementById(`grey-${id}`).value))"
    before, place = page.driver.execute_script(values), page.driver.execute_script(ON_FILM, "S")
    x, y = page.middle("#stage")

    def mouse(kind: str, dx: int, dy: int) -> None:
        what = {"type": kind, "x": x + dx, "y": y + dy, "button": "right", "buttons": 2, "clickCount": 1}
        page.driver.execute_cdp_cmd("Input.dispatchMouseEvent", what)

    mouse("mousePressed", 0, 0)
    for step in range(1, 6):
        mouse("mouseMoved", -20 * step, -10 * step)
    mouse("mouseReleased", -100, -50)
    width, center = page.driver.execute_script(values)
    # left narrows, up brightens, which is a lower centre; 800 pixels are the whole range of the film, 0 to 255
    assert (width - before[0], center - before[1]) == pytest.approx((-100 * 255 / 800, -50 * 255 / 800), abs=1)
    assert (width, center) != tuple(before)
    assert page.driver.execute_script(ON_FILM, "S") == place
    mouse("mouseMoved", 60, 60)
    assert page.driver.execute_script(values) == [width, center]
    assert server.revisions("film002") == []


def test_calibration_by_two_clicks(page: Page, server: Server) -> None:
    page.open("film003")
    page.settled()
    ratio = page.scale()
    assert "No scale" in page.text("#scale")
    page.click("#calibrate")
    stage = page.driver.find_element(By.ID, "stage")
    ActionChains(page.driver).move_to_element_with_offset(stage, 100, 100).click().perform()
    ActionChains(page.driver).pause(0.5).move_to_element_with_offset(stage, 100, 220).click().perform()
    page.wait(lambda: page.all("#length"), "the question for the length")
    page.keys("12,5", Keys.ENTER)
    page.saved()
    line = server.revisions("film003")[-1]["calibration"]
    assert (line["x2"] - line["x1"], line["y2"] - line["y1"]) == pytest.approx((0, 120 / ratio), abs=0.2)
    assert line["mm"] == 12.5
    page.wait(lambda: " mm" in page.text(".measured"), "lengths in mm")


def test_a_person_is_asked_before_unsaved_work_is_left(page: Page, server: Server) -> None:
    page.open("film004")
    page.keys("." + Keys.ARROW_RIGHT)
    page.saved()
    server.kill()
    page.keys(Keys.ARROW_RIGHT)
    page.wait(lambda: "trying again" in page.text("#saved"), "not saved")
    page.driver.execute_script("setTimeout(() => { location.href = 'about:blank' })")
    try:
        WebDriverWait(page.driver, SECONDS).until(alert_is_present()).dismiss()
        assert page.text("h1") == "film004.png"
    finally:
        server.start()
    page.saved()
    assert server.x("film004", "S") == 22.25
    page.driver.get("about:blank")
    assert page.driver.current_url == "about:blank"


def test_text_can_be_read_in_every_mode(page: Page) -> None:
    """Light, dark, more contrast and forced colours, in the worklist, a film and the pages of figures."""
    try:
        for scheme, contrast, forced in product(("light", "dark"), ("no-preference", "more"), ("none", "active")):
            features = {"prefers-color-scheme": scheme, "prefers-contrast": contrast, "forced-colors": forced}
            emulated = [{"name": name, "value": value} for name, value in features.items()]
            page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": emulated})
            page.open("film005")
            page.keys("n")
            low = _low(page, contrast)
            for place in ("", "#/accuracy"):
                page.driver.get(f"{page.server.url}{place}")
                page.wait(lambda: page.all(".film-row, .sheet"), "the page")
                low += _low(page, contrast)
            assert low == [], features
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def _low(page: Page, contrast: str) -> list[object]:
    least = MORE if contrast == "more" else ENOUGH
    found = page.driver.execute_script(CONTRASTS)
    assert len(found) > 5
    return [one for one in found if one[0] < least]


def test_forced_colours_keep_states_apart(page: Page) -> None:
    """Where a system takes its own colours, what is chosen and what is uncertain still looks different."""
    emulated = [{"name": "forced-colors", "value": "active"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": emulated})
    try:
        page.open("film005")
        page.keys("n")
        colour = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        chosen, usual = (
            page.driver.execute_script(colour, f".grid button[aria-pressed={value}]", "backgroundColor")
            for value in ("true", "false")
        )
        assert chosen != usual
        styles = [
            page.driver.execute_script(colour, f".grid .{status}", "borderLeftStyle") for status in ("ok", "uncertain")
        ]
        assert len(set(styles)) == 2
        strokes = [page.driver.execute_script(colour, f".{name} .cross", "stroke") for name in ("ok", "uncertain")]
        assert strokes == ["rgb(79, 216, 255)", "rgb(255, 181, 46)"]
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_blind_reader_sees_no_point_and_places_them(
    chromium: Chrome, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("blind") / "work"
    write_results(root, 2, missing=0)
    with serving(root, "--blind", "--reviewer", NAME) as server:
        for page in opened(chromium, server):
            page.driver.get(server.url)
            page.wait(lambda page=page: page.all(".film-row"), "the worklist")
            assert "missing" not in page.text(".worklist")
            assert not page.all("nav")
            page.keys(Keys.ARROW_DOWN, Keys.ENTER)
            page.wait(lambda page=page: page.all(".points button"), "the film")
            assert not page.all("g[data-symbol]")
            assert "missing" in page.text(".measured")
            assert page.text("#todo").startswith("19 doubtful points")
            page.keys("n")
            ActionChains(page.driver).move_to_element(page.driver.find_element(By.ID, "stage")).click().perform()
            page.saved()
            (reading,) = server.revisions("film000", "readings")
            placed = [point["symbol"] for point in reading["points"] if point["x"] is not None]
            assert (placed, reading["reviewer"]) == (["S"], NAME)
            assert page.driver.find_elements(By.CSS_SELECTOR, "g[data-symbol]")[0].get_attribute("data-symbol") == "S"
            page.chord(Keys.CONTROL, Keys.ENTER)
            page.wait(lambda page=page: "undecided" in page.text("#problem"), "18 points are to be placed")
            page.driver.get_log("browser")


def test_a_token_opens_the_page_and_leaves_the_address(
    chromium: Chrome, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("token") / "work"
    write_results(root, 1)
    (root / "token").write_text(TOKEN)
    with serving(root, "--token-file", str(root / "token")) as server:
        chromium.delete_all_cookies()
        chromium.get(server.url)
        assert "a token is needed" in chromium.page_source
        chromium.get(f"{server.url}?token={TOKEN}")
        chromium.get_log("browser")
        for page in opened(chromium, server):
            page.open("film000")
            assert TOKEN not in page.driver.current_url
            assert page.driver.execute_script("return document.cookie") == ""
            # without the cookie, the work stays here until the person has logged in again
            page.driver.delete_all_cookies()
            page.keys("." + Keys.ARROW_RIGHT)
            page.wait(lambda page=page: "a token is needed" in page.text("#problem"), "the trouble is told")
            first = page.driver.current_window_handle
            page.driver.switch_to.new_window("tab")
            page.driver.get(f"{server.url}?token={TOKEN}")
            page.driver.close()
            page.driver.switch_to.window(first)
            page.click("#saved")
            page.saved()
            assert server.x("film000", "S") == 21.25
            assert all(" 401 " in message for message in page.errors())
