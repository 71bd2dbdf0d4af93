"""The worklist of 1,000 films and the pages of figures beside it, in a browser."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
pytest.importorskip("selenium", reason="the extra node-tests is not installed (make optional)")
from review_browser import Page, Server, browsing, needs_chromium, opened, serving, write_results
from selenium.webdriver import Chrome, Keys
from servers import call

pytestmark = needs_chromium
FILMS = 1000
# 16 rows are in sight, and some more on both sides
FEW = 40
ROWS = "return document.querySelectorAll('.film-row').length"
IN_SIGHT = """
const row = document.activeElement.getBoundingClientRect();
const list = document.querySelector('.films').getBoundingClientRect();
return row.top >= list.top - 1 && row.bottom <= list.bottom + 1
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("many") / "work"
    write_results(root, FILMS, missing=0)
    with serving(root) as server:
        yield server


@pytest.fixture
def page(chromium: Chrome, server: Server) -> Iterator[Page]:
    yield from opened(chromium, server)


def worklist(page: Page) -> None:
    page.driver.get(page.server.url)
    page.wait(lambda: page.all(".film-row"), "the worklist")


def test_only_rows_in_sight_are_in_the_document(page: Page) -> None:
    worklist(page)
    assert re.search(rf"All\s{FILMS}", page.text(".filters"))
    assert "film000" in page.all(".film-row")[0].text
    counts = [page.driver.execute_script(ROWS)]
    height = page.driver.execute_script("return document.querySelector('.films').scrollHeight")
    assert height >= FILMS * 70
    for part in (0.25, 0.5, 0.75, 1):
        page.driver.execute_script(f"document.querySelector('.films').scrollTop = {part * height}")
        number = int(part * FILMS) - (5 if part == 1 else 0)
        page.wait(lambda number=number: page.all(f"[aria-posinset='{number}']"), f"row {number}")
        counts.append(page.driver.execute_script(ROWS))
    assert max(counts) <= FEW
    assert page.all(f"[aria-posinset='{FILMS}'][aria-setsize='{FILMS}']")
    asked = page.driver.execute_script(
        "return performance.getEntriesByType('resource').filter(one => one.name.endsWith('thumbnail')).length"
    )
    assert asked <= 5 * FEW


def test_keys_reach_every_film_and_the_way_back(page: Page) -> None:
    worklist(page)
    page.keys(Keys.ARROW_DOWN, Keys.END)
    last = page.driver.execute_script("return document.activeElement.parentElement.getAttribute('aria-posinset')")
    assert (last, page.driver.execute_script(IN_SIGHT)) == (str(FILMS), True)
    page.keys(Keys.PAGE_UP, Keys.ARROW_UP)
    assert page.driver.switch_to.active_element.find_element("xpath", "..").get_attribute("aria-posinset") == "989"
    # out of sight, the row keeps the focus, so that the next key starts from it
    page.driver.execute_script("document.querySelector('.films').scrollTop = 0")
    page.wait(lambda: page.all("[aria-posinset='1']"), "the top")
    page.keys(Keys.ARROW_DOWN)
    film = page.driver.switch_to.active_element
    assert film.find_element("xpath", "..").get_attribute("aria-posinset") == "990"
    page.driver.execute_script("localStorage.setItem('monai-ceph reviewer', 'Dr. Example')")
    name = film.text.split("\n")[0]
    page.keys(Keys.ENTER)
    page.loaded()
    assert page.text("h1") == name
    page.keys("w")
    page.wait(lambda: page.all(".film-row"), "the worklist again")
    assert name in page.driver.switch_to.active_element.text


def test_search_and_filters(page: Page) -> None:
    worklist(page)
    page.driver.execute_script("document.querySelector('.films').scrollTop = 40000")
    page.keys("/", "film77")
    page.wait(lambda: len(page.all(".film-row")) == 10, "ten films")
    assert page.driver.execute_script("return document.querySelector('.films').scrollTop") == 0
    page.keys(Keys.BACKSPACE * 6)
    page.click("[data-filter=final]")
    page.wait(lambda: not page.all(".film-row"), "no film is final")
    assert page.text(".total") == "No film matches."
    page.click("[data-filter=all]")


def test_figures_without_any_signature(page: Page) -> None:
    worklist(page)
    page.click("a[href='#/accuracy']")
    page.wait(lambda: page.all(".sheet"), "the page of figures")
    assert "No film is signed yet." in page.text(".sheet")
    page.keys("w")
    page.wait(lambda: page.all(".film-row"), "the worklist")
    page.click("a[href='#/readers']")
    page.wait(lambda: page.all(".sheet"), "the page of readers")
    assert "Nobody has signed a blind reading yet" in page.text(".sheet")


def sign(server: Server, name: str, films: int, shift: float, blind: bool) -> None:
    """Sign some films; each point is moved along x by ``shift`` and a little more."""
    scatter = random.Random(name)
    headers = {"X-Monai-Ceph": "1"}
    for number in range(films):
        _, text, _ = call(server.url, "GET", "/api/films")
        film = next(row["id"] for row in json.loads(text) if row["film"] == f"film{number:03}.png")
        review = json.loads(call(server.url, "GET", f"/api/films/{film}")[1])["review"]
        points = []
        for index, point in enumerate(review["points"]):
            x = 20.25 + 10 * index + shift + (scatter.uniform(-2, 2) if blind else 0)
            points.append({**point, "x": x, "y": 50.75 + 10 * index, "source": "human", "moved_from": None})
        body = {"based_on": 0, "reviewer": name, "points": points, "calibration": None, "note": ""}
        status, text, _ = call(server.url, "PUT", f"/api/films/{film}/review", body, **headers)
        assert status == 200, text
        signed = {"based_on": 1, "reviewer": name}
        assert call(server.url, "POST", f"/api/films/{film}/sign", signed, **headers)[0] == 200


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Six films with a scale of 0.1 mm, read blind by two persons, and three of them reviewed."""
    root = tmp_path_factory.mktemp("study") / "work"
    write_results(root, 6, pixel_spacing=(0.1, 0.1), spacing_source="user")
    for name, shift in (("Dr. One", 0.0), ("Dr. Two", 5.0)):
        with serving(root, "--blind", "--reviewer", name) as reading:
            sign(reading, name, 6, shift, blind=True)
    with serving(root) as server:
        sign(server, "Dr. Three", 3, 4.0, blind=False)
        yield server


def test_how_far_reviewers_moved_points(chromium: Chrome, study: Server) -> None:
    for page in opened(chromium, study):
        worklist(page)
        page.keys(Keys.TAB, Keys.ENTER)
        page.wait(lambda page=page: page.all(".figures tbody tr"), "the table")
        assert page.driver.switch_to.active_element.text == "How far reviewers moved points"
        cells = [cell.text for cell in page.all(".figures tbody tr:first-child > *")]
        assert cells[:5] == ["S", "3", "0.40", "0.40", "3"]
        page.click(".figures thead th:nth-child(4) button")
        assert page.all("th[aria-sort=descending]")[0].text.startswith("95 %")


def test_two_readers_with_a_plot_and_a_file(
    study: Server, chromium: Chrome, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("downloads")
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    for page in opened(chromium, study):
        worklist(page)
        page.keys(Keys.TAB, Keys.TAB, Keys.ENTER)
        page.wait(lambda page=page: page.all(".plot"), "the plot")
        assert [one.text for one in page.all("#pair option")] == [
            "Dr. Two minus Dr. One",
            "the model minus Dr. One",
            "the model minus Dr. Two",
        ]
        page.driver.find_element("css selector", "#kind").send_keys("Coordinates")
        page.wait(lambda page=page: "coordinates" not in page.text(".figures") and _row(page, "N x"), "coordinates")
        _row(page, "N x").find_element("css selector", "button").click()  # type: ignore[union-attr]
        page.wait(lambda page=page: "N x" in page.text("figcaption"), "the plot of N")
        assert len(page.all(".plot .dot")) == 6
        label = page.all(".plot")[0].get_attribute("aria-label")
        assert label.startswith("N x: Dr. Two minus Dr. One, 6 films, bias 0.")
        # two readers that are 5 pixels of 0.1 mm apart, each within 2 pixels
        assert float(re.search(r"bias ([\d.]+)", label)[1]) == pytest.approx(0.5, abs=0.4)  # type: ignore[index]
        page.click(".download")
        page.wait(lambda: list(folder.glob("*.csv")), "the file")
        assert Path(next(folder.glob("*.csv"))).read_text().startswith("reader,reference,kind,symbol")


def _row(page: Page, name: str) -> object | None:
    return next((row for row in page.all(".figures tbody tr") if row.text.startswith(f"{name} ")), None)
