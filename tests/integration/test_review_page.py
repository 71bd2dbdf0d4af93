"""The page for reviews in a browser, on the real server: what a person does is on the disk, and nothing is lost."""

from __future__ import annotations

import json
import operator
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
pytest.importorskip("selenium", reason="the extra node-tests is not installed (make optional)")
from review_browser import NAME, Page, Server, browsing, needs_chromium, opened, serving, write_results
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

pytestmark = needs_chromium
DEAF = """
const add = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (name, ...others) {
  if (name !== 'pointerrawupdate') add.call(this, name, ...others);
};
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("review") / "work"
    write_results(root, 11, big=1, missing=0)
    with serving(root) as server:
        yield server


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(chromium: Chrome, server: Server) -> Iterator[Page]:
    yield from opened(chromium, server)


def test_a_dragged_point_is_saved_at_its_source_pixel(page: Page, server: Server) -> None:
    page.open("film000")
    page.settled()
    ratio = page.scale()
    ActionChains(page.driver).drag_and_drop_by_offset(page.hit("Ar"), 60, -40).perform()
    page.saved()
    found = server.point("film000", "Ar")
    assert found is not None
    assert (found["x"], found["y"]) == pytest.approx((200.25 + 60 / ratio, 230.75 - 40 / ratio), abs=0.1)
    assert (found["source"], found["moved_from"]) == ("human", [200.25, 230.75])
    assert server.revisions("film000")[-1]["reviewer"] == NAME


def test_keys_undo_redo_as_detected_and_not_on_the_film(page: Page, server: Server) -> None:
    page.open("film002")
    page.keys(Keys.TAB)
    assert "Sella" in page.text(".info")
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    page.chord(Keys.SHIFT, Keys.ARROW_RIGHT)
    page.saved()
    page.wait(lambda: (server.point("film002", "S") or {}).get("x") == 21.35, "0.1 pixel more")
    assert server.point("film002", "S")["y"] == 51.75  # type: ignore[index]
    for _ in range(3):
        page.chord(Keys.CONTROL, "z")
    page.wait(lambda: server.point("film002", "S")["x"] == 20.25, "undone")  # type: ignore[index]
    assert server.point("film002", "S")["source"] == "detected"  # type: ignore[index]
    page.chord(Keys.CONTROL, "y")
    page.wait(lambda: server.point("film002", "S")["x"] == 21.25, "redone")  # type: ignore[index]
    page.keys("r")
    page.wait(lambda: server.point("film002", "S")["source"] == "detected", "as detected")  # type: ignore[index]
    page.keys("x")
    page.wait(lambda: server.point("film002", "S")["source"] == "absent", "not on the film")  # type: ignore[index]


def test_measurements_follow_the_point_while_it_moves(page: Page) -> None:
    page.open("film003")
    before = page.text(".measured")
    ActionChains(page.driver).click_and_hold(page.hit("N")).move_by_offset(80, 10).perform()
    page.wait(lambda: page.text(".measured") != before, "other measurements")
    assert [row.get_attribute("data-class") for row in page.all("[data-class]")][:3] == ["ANB", "SNB", "SNA"]
    assert all(row.find_element(By.CSS_SELECTOR, "td").text for row in page.all("[data-class]"))
    assert page.text("#saved") == "As detected"
    assert page.driver.find_element(By.CSS_SELECTOR, ".loupe").is_displayed()
    ActionChains(page.driver).release().perform()
    page.saved()


def shown_and_saved(page: Page, server: Server, film: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the measurements beside the film, and those of the saved points, as the page writes them."""
    script = (
        "return [...document.querySelectorAll('[data-measurement] .value')]"
        ".map(cell => [cell.parentElement.dataset.measurement, cell.textContent])"
    )
    saved = {}
    for one in get(f"{server.url}api/films/{film}")["measurements"]:
        if one["value"] is not None:
            number = f"{one['value']:.1f}".replace("-", "\N{MINUS SIGN}")
            saved[one["symbol"]] = number + {"degree": "°", "percent": " %"}.get(one["unit"], f" {one['unit']}")
    return dict(page.driver.execute_script(script)), saved


def get(address: str) -> Any:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize("raw", [True, False])
def test_a_drag_ends_with_the_measurements_of_its_end(page: Page, server: Server, raw: bool) -> None:
    """In sight and out of sight; also in a browser without events between frames, as Safari."""
    name = "film009" if raw else "film010"
    command = page.driver.execute_cdp_cmd
    script = command("Page.addScriptToEvaluateOnNewDocument", {"source": "" if raw else DEAF})
    try:
        page.open(name)
    finally:
        command("Page.removeScriptToEvaluateOnNewDocument", script)
    page.settled()
    film = page.film_id()
    before, _ = shown_and_saved(page, server, film)
    drag = ActionChains(page.driver, duration=10).click_and_hold(page.hit("N"))
    for step in range(1, 25):
        drag.move_by_offset(3 if step % 4 else -5, 2 if step % 3 else -3)
    drag.release().perform()
    page.saved()

    def alike() -> bool:
        shown, saved = shown_and_saved(page, server, film)
        return shown == saved != before

    page.wait(alike, "the measurements of the end")


def test_calibration_by_keys_alone_survives_a_reload(page: Page, server: Server) -> None:
    page.open("film004")
    page.keys("k", *[Keys.ARROW_LEFT] * 2, Keys.ENTER, *[Keys.ARROW_RIGHT] * 4, Keys.ENTER)
    page.wait(lambda: page.all("#length"), "the question for the length")
    page.keys("10", Keys.ENTER)
    page.saved()
    calibration = server.revisions("film004")[-1]["calibration"]
    assert calibration["x2"] - calibration["x1"] == pytest.approx(40)
    assert (calibration["y1"], calibration["mm"]) == (calibration["y2"], 10)
    page.driver.refresh()
    page.loaded()
    assert page.text("#scale") == f"Scale 0.2500 mm per pixel, calibrated by {NAME}"


def test_sign_by_keyboard_alone_and_a_later_change(page: Page, server: Server) -> None:
    """Three points need a move: the fourth is missing, those that are doubtful are decided, and the film is signed."""
    page.driver.get(server.url)
    page.driver.execute_script("localStorage.removeItem('monai-ceph reviewer')")
    page.driver.refresh()
    page.wait(lambda: page.all(".film-row"), "the worklist")
    page.keys("/", "film005", Keys.ARROW_DOWN, Keys.ENTER)
    page.wait(lambda: page.all("#reviewer"), "the question for the name")
    page.keys(NAME, Keys.ENTER)
    page.loaded()
    for _ in range(4):
        page.keys("n", Keys.ARROW_RIGHT)
    page.saved()
    page.chord(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: page.text("#state") == "FINAL", "final")
    signed = server.revisions("film005")[-1]
    assert (signed["state"], signed["reviewer"]) == ("final", NAME)
    page.keys("c", Keys.ARROW_LEFT)
    page.wait(lambda: page.text("#state") == "DRAFT", "a draft again")
    page.saved()
    assert server.revisions("film005")[-1]["replaces"] == signed["revision"]
    page.keys("]")
    page.wait(lambda: page.all("#stage") and "film005" not in page.text("h1"), "the next film")


def test_a_killed_server_loses_nothing(page: Page, server: Server) -> None:
    page.open("film006")
    page.settled()
    ActionChains(page.driver).click_and_hold(page.hit("N")).move_by_offset(30, 0).perform()
    film = page.film_id()
    server.kill()
    ActionChains(page.driver).move_by_offset(10, 0).perform()
    page.wait(lambda: "Not measured: The server does not answer." in page.text(".measured"), "it is told")
    ActionChains(page.driver).release().perform()
    page.wait(lambda: "trying again" in page.text("#saved"), "the trouble is told")
    assert "not saved" in page.text("#problem")
    page.keys(Keys.ARROW_RIGHT)
    server.start()
    page.saved()
    page.wait(lambda: "Not measured" not in page.text(".measured"), "measured again")
    page.wait(lambda: operator.eq(*shown_and_saved(page, server, film)), "the measurements of the end")
    kept = server.point("film006", "N")
    page.driver.refresh()
    page.loaded()
    assert kept is not None
    assert kept["x"] > 50
    assert server.point("film006", "N") == kept


def test_a_film_of_20_megapixels(page: Page, server: Server) -> None:
    page.open("film001")
    page.keys("n", *["+"] * 4)
    page.settled()
    ratio = page.scale()
    ActionChains(page.driver).drag_and_drop_by_offset(page.hit("S"), 30, 30).perform()
    page.saved()
    found = server.point("film001", "S")
    assert found is not None
    assert (found["x"], found["y"]) == pytest.approx((20.25 + 30 / ratio, 50.75 + 30 / ratio), abs=0.1)


def test_three_points_from_opening_to_final(page: Page, server: Server) -> None:
    """What the guide says of a film whose three points need a move: a drag each, and one click to sign."""
    page.open("film008")
    page.settled()
    began, clicks = time.monotonic(), 0
    for symbol in ("N", "A", "Me"):
        ActionChains(page.driver).drag_and_drop_by_offset(page.hit(symbol), 25, 15).perform()
        clicks += 1
    page.saved()
    page.click("#sign")
    clicks += 1
    page.wait(lambda: page.text("#state") == "FINAL", "final")
    print(f"{clicks} clicks, {time.monotonic() - began:.1f} s")
    assert server.revisions("film008")[-1]["state"] == "final"
