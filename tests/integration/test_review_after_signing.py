"""Heatmaps over a film, ghosts of missing landmarks, and what became of signed results, in a browser."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
pytest.importorskip("selenium", reason="the extra node-tests is not installed (make optional)")
from pynetdicom import AE, AllStoragePresentationContexts, evt
from review_browser import NAME, ON_FILM, Page, Server, browsing, needs_chromium
from review_server import Serve, films, ids, results, serve
from selenium.webdriver import Chrome, Keys
from servers import wait_until

from monai_ceph.archives.urls import senders_of
from monai_ceph.review.heatmaps import Heatmaps

__all__ = ["films", "results", "serve"]

pytestmark = needs_chromium
# a process loads the model first
HEATMAP_SECONDS = 300
# adds to what the server says of a landmark, as detections of newer models will have it
EXPECTED = """
const fetched = window.fetch;
window.fetch = async (...asked) => {
  const answer = await fetched(...asked);
  if (!/films\\/\\w+$/.test(asked[0])) return answer;
  const film = await answer.json();
  for (const mark of film.detection.landmarks) {
    if (mark.symbol === 'S') mark.expected = [60, 90];
    mark.radius_90_px = 10;
  }
  return Response.json(film);
};
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


class Archive:
    """A real archive in this process that says yes or no to what it gets."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.status, self.held = 0x0000, 0
        entity = AE("PACS")
        entity.supported_contexts = AllStoragePresentationContexts
        handlers = [(evt.EVT_C_STORE, self._store)]
        self.server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _store(self, event: Any) -> int:
        self.held += self.status == 0
        return self.status


@pytest.fixture
def archive() -> Iterator[Archive]:
    found = Archive()
    yield found
    found.server.shutdown()


def visited(driver: Chrome, address: str, film: str) -> Page:
    """Open a film of a server that runs in this process."""
    server = Server(Path())
    server.url = f"{address}/"
    page = Page(driver, server)
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(server.url)
    driver.execute_script("localStorage.setItem('monai-ceph reviewer', arguments[0])", NAME)
    driver.get(f"{server.url}#/film/{ids(address)[film]}")
    driver.refresh()
    page.wait(lambda: page.all("g[data-symbol=N]"), "the points are drawn")
    return page


def test_what_became_of_a_signed_film(
    serve: Serve, results: Path, films: Path, archive: Archive, chromium: Chrome
) -> None:
    # "cannot understand": it would say so again, so only a person tries again
    archive.status = 0xC000
    address = serve(results, [films], senders=senders_of([f"dicom://PACS@127.0.0.1:{archive.port}"]))
    page = visited(chromium, address, "a.dcm")
    assert not page.driver.find_element("css selector", ".delivery").is_displayed()
    page.chord(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: page.text("#state") == "FINAL", "final")
    page.wait(lambda: "Not all was sent" in page.text("#delivery"), "the archive says no")
    assert [line.text.split(" to ")[0] for line in page.all(".delivery li")] == [
        "structured report",
        "presentation state",
    ]
    assert "refused" in page.text(".delivery li")
    archive.status = 0x0000
    page.click("#send")
    page.wait(lambda: page.text("#delivery") == "Sent: every target has confirmed everything.", "the archive says yes")
    assert archive.held == 2
    assert not page.all("#send")
    page.keys("w")
    page.wait(lambda: page.all(".film-row"), "the worklist")
    assert any("a.dcm" in row.text and "sent" in row.text.split("\n") for row in page.all(".film-row"))
    assert page.errors() == []


def test_nothing_is_said_of_sending_where_nothing_is_sent(
    serve: Serve, results: Path, films: Path, chromium: Chrome
) -> None:
    page = visited(chromium, serve(results, [films]), "a.dcm")
    page.chord(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: page.text("#state") == "FINAL", "final")
    assert not page.driver.find_element("css selector", ".delivery").is_displayed()


def test_a_heatmap_lies_over_the_film_and_goes_again(
    serve: Serve, results: Path, films: Path, chromium: Chrome
) -> None:
    page = visited(chromium, serve(results, [films], heatmaps=Heatmaps("cpu")), "b.png")
    page.keys("h")
    assert page.text("#heat") == "Choose a point to see its heatmap."
    page.keys("..")
    made = "Heatmap of N: its highest value is 0."
    wait_until(lambda: page.text("#heat").startswith(made), HEATMAP_SECONDS, "the heatmap")
    # the results were made up, so no installed model made them
    assert "Another model made it" in page.text("#heat")
    place = "const b = document.querySelector('.heat').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
    _, _, width, height = page.driver.execute_script(place)
    assert min(width, height) > 10
    page.keys("+")
    page.settled("N")
    assert page.driver.execute_script(place)[2] == pytest.approx(1.4 * width, rel=0.02)
    page.keys("h")
    page.wait(lambda: page.text("#heat") == "", "the heatmap is gone")
    assert page.driver.execute_script("return document.querySelector('.heat').getAttribute('href')") is None
    assert page.errors() == []


def test_a_ghost_stands_where_a_missing_landmark_is_expected(
    serve: Serve, results: Path, films: Path, chromium: Chrome
) -> None:
    script = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": EXPECTED})
    try:
        address = serve(results, [films])
        page = visited(chromium, address, "b.png")
        page.wait(lambda: page.all("g[data-symbol=S].ghost"), "the ghost")
        page.settled("N")
        ratio = page.scale("N")
        ghost, n = (page.driver.execute_script(ON_FILM, symbol) for symbol in ("S", "N"))
        assert [ghost[0] - n[0], ghost[1] - n[1]] == pytest.approx(
            [(60 - 30.25) * ratio, (90 - 60.75) * ratio], abs=0.5
        )
        dashes = (
            "return getComputedStyle(document.querySelector(`g[data-symbol=${arguments[0]}] .cross`)).strokeDasharray"
        )
        assert page.driver.execute_script(dashes, "S") != page.driver.execute_script(dashes, "N") == "none"
        assert page.text("g[data-symbol=S] text") == "S?"
        # a ghost is no landmark: S-N is not measured until a person places S
        assert "missing: S" in page.text(".measured")
        assert page.driver.execute_script(
            "return Number(document.querySelector('g[data-symbol=N] .radius').getAttribute('r'))"
        ) == pytest.approx(10 * ratio, rel=0.01)
        page.keys(".p")
        page.saved()
        review = json.loads(next((results / "reviews").rglob("0001.json")).read_text())
        (placed,) = [point for point in review["points"] if point["symbol"] == "S"]
        assert (placed["x"], placed["y"], placed["source"], placed["moved_from"]) == (60, 90, "human", None)
        page.wait(lambda: not page.all("g[data-symbol=S].ghost"), "no ghost any more")
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
