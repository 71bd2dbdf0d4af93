"""The page for reviews in a browser, on the real server: what a person does is on the disk, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
pytest.importorskip("selenium", reason="the extra node-tests is not installed (make optional)")
from dicom_films import detection_on, without
from PIL import Image
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from servers import REPOSITORY, answers, free_port, wait_until

from monai_ceph.reports.json_result import save_json

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()),
    reason="Chromium is not installed (apt-get install chromium chromium-driver)",
)
SECONDS = 30
FILMS = 500
NAME = "Dr. Ada Byron"
ON_FILM = """
const group = document.querySelector(`g[data-symbol="${arguments[0]}"]`);
return group && [group.getCTM().e, group.getCTM().f];
"""


class Server:
    """``monai-ceph review`` in a process of its own, which may be killed and started again at the same port."""

    def __init__(self, root: Path) -> None:
        self.root, self.port = root, free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--films", str(self.root / "films"), "--port", str(self.port)]
        command = [sys.executable, "-m", "monai_ceph", "review", str(self.root / "results"), *options]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
            )
        wait_until(lambda: self.process.poll() is not None or answers(self.url), 60, "the server answers")  # type: ignore[union-attr]
        assert self.process.poll() is None, (self.root / "log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def revisions(self, film: str) -> list[dict[str, Any]]:
        found = [path for path in (self.root / "results" / "reviews").rglob("*.json") if path.parent.name == film]
        return [json.loads(path.read_text()) for path in sorted(found) if not path.name.startswith(".")]

    def point(self, film: str, symbol: str) -> dict[str, Any] | None:
        revisions = self.revisions(film)
        return next((one for one in revisions[-1]["points"] if one["symbol"] == symbol), None) if revisions else None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("review")
    (root / "films").mkdir()
    (root / "results" / "json").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (100, 125)).astype(np.uint8)
    for number in range(FILMS):
        # the second one has 20 megapixels
        scale = {0: 8, 1: 40}.get(number, 4)
        pixels = np.kron(noise, np.ones((scale, scale), np.uint8)) if number < 12 else noise[:30, :40]
        name = f"film{number:03}"
        Image.fromarray(pixels).save(root / "films" / f"{name}.png", compress_level=1)
        rows, columns = pixels.shape
        detection = detection_on(
            file=f"{name}.png",
            rows=rows,
            columns=columns,
            image_uid=None,
            study_uid=None,
            series_uid=None,
            pixel_spacing=None,
            spacing_source="none",
        )
        save_json(root / "results" / "json" / f"{name}.json", without(detection, "Po") if number == 0 else detection)
    server = Server(root)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def browser(folder: Path) -> Chrome:
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    switches = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    for switch in (*switches.split(), "--disable-component-update", "--disable-sync", "--window-size=1440,900"):
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={folder}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options, Service(str(DRIVER)))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    driver = browser(tmp_path_factory.mktemp("profile"))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """One tab, as a person uses it."""

    def __init__(self, driver: Chrome, server: Server) -> None:
        self.driver, self.server = driver, server

    def open(self, film: str, name: str | None = NAME) -> None:
        self.driver.get(self.server.url)
        if name is not None:
            self.driver.execute_script("localStorage.setItem('monai-ceph reviewer', arguments[0])", name)
        self.wait(lambda: self.all(".film-row"), "the worklist")
        link = next(row for row in self.all(".film-row") if f"{film}." in row.get_attribute("textContent"))
        self.driver.execute_script("arguments[0].click()", link)
        self.loaded()

    def loaded(self) -> None:
        self.wait(lambda: self.driver.execute_script(ON_FILM, "S"), "the points are drawn")

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def click(self, selector: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def keys(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, modifier: str, key: str) -> None:
        ActionChains(self.driver).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def hit(self, symbol: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, f'g[data-symbol="{symbol}"] .hit')

    def wait(self, done: Callable[[], Any], what: str) -> None:
        wait_until(lambda: bool(done()), SECONDS, what)

    def saved(self) -> None:
        self.wait(lambda: self.text("#saved").startswith("Saved"), f"saved, not {self.text('#saved')}")

    def settled(self) -> None:
        """Wait until the film no longer moves on the screen."""
        last: list[Any] = [None]

        def still() -> bool:
            now, last[0] = last[0], self.driver.execute_script(ON_FILM, "S")
            return bool(now == last[0])

        self.wait(still, "the film rests")

    def errors(self) -> list[str]:
        # a server that is away is an error of the network, not of the page
        return [one["message"] for one in self.driver.get_log("browser") if "ERR_CONNECTION" not in one["message"]]


@pytest.fixture
def page(chromium: Chrome, server: Server) -> Iterator[Page]:
    chromium.get("about:blank")
    chromium.get_log("browser")
    page = Page(chromium, server)
    yield page
    assert [one for one in page.errors() if "409" not in one] == []


def scale(page: Page) -> float:
    """Screen pixels per source pixel, from two points whose places are known."""
    one, two = (page.driver.execute_script(ON_FILM, symbol) for symbol in ("S", "Ar"))
    return float((two[0] - one[0]) / 180)


def test_a_dragged_point_is_saved_at_its_source_pixel(page: Page, server: Server) -> None:
    page.open("film000")
    page.settled()
    ratio = scale(page)
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
    assert page.text("#saved") == "As detected"
    assert page.driver.find_element(By.CSS_SELECTOR, ".loupe").is_displayed()
    ActionChains(page.driver).release().perform()
    page.saved()


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
    assert "0.2500 mm per pixel" in page.text("#scale")


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
    server.kill()
    ActionChains(page.driver).move_by_offset(10, 0).release().perform()
    page.wait(lambda: "trying again" in page.text("#saved"), "the trouble is told")
    assert "not saved" in page.text("#problem")
    page.keys(Keys.ARROW_RIGHT)
    server.start()
    page.saved()
    kept = server.point("film006", "N")
    page.driver.refresh()
    page.loaded()
    assert kept is not None
    assert kept["x"] > 50
    assert server.point("film006", "N") == kept


def test_the_second_of_two_browsers_is_told(
    page: Page, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page.open("film007")
    second = browser(tmp_path_factory.mktemp("second"))
    try:
        other = Page(second, server)
        other.open("film007", "Dr. Grace Murray")
        page.keys(Keys.TAB, Keys.ARROW_RIGHT)
        page.saved()
        other.keys("nnn", Keys.ARROW_DOWN)
        other.wait(lambda: other.all("dialog[open]"), "the conflict")
        assert NAME in other.text("dialog[open]")
        other.click("dialog button[value=mine]")
        other.saved()
        last = server.revisions("film007")[-1]
        moved = {point["symbol"] for point in last["points"] if point["source"] == "human"}
        assert (last["revision"], len(moved), "S" in moved) == (2, 2, True)
        assert [one for one in other.errors() if "409" not in one] == []
    finally:
        second.quit()


def test_a_film_of_20_megapixels(page: Page, server: Server) -> None:
    page.open("film001")
    page.keys("n", *["+"] * 4)
    page.settled()
    ratio = scale(page)
    ActionChains(page.driver).drag_and_drop_by_offset(page.hit("S"), 30, 30).perform()
    page.saved()
    found = server.point("film001", "S")
    assert found is not None
    assert (found["x"], found["y"]) == pytest.approx((20.25 + 30 / ratio, 50.75 + 30 / ratio), abs=0.1)


def test_a_worklist_of_500_films(page: Page, server: Server) -> None:
    page.driver.get(server.url)
    page.wait(lambda: len(page.all(".film-row")) == FILMS, "all films")
    assert "film000" in page.all(".film-row")[0].text
    asked = page.driver.execute_script(
        "return performance.getEntriesByType('resource').filter(one => one.name.endsWith('thumbnail')).length"
    )
    assert asked < 100
    page.keys(Keys.ARROW_DOWN, Keys.END)
    assert page.driver.execute_script("return document.activeElement.getBoundingClientRect().bottom <= innerHeight")
    page.click("[data-filter=final]")
    page.wait(lambda: len(page.all(".film-row")) < FILMS, "the filter")
    assert re.search(r"All\s500", page.text(".filters"))


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
