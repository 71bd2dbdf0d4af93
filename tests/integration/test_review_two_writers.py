"""Two persons or two tabs on one film, in real browsers: nobody undoes what another one saved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi", reason="the extra review is not installed (make optional)")
pytest.importorskip("selenium", reason="the extra node-tests is not installed (make optional)")
from review_browser import NAME, ON_FILM, Page, Server, browsing, needs_chromium, opened, serving, write_results
from selenium.webdriver import Chrome, Keys

pytestmark = needs_chromium
OTHER = "Dr. Grace Murray"
RIVAL = """
const group = document.querySelector(`g[data-rival="${arguments[0]}"]`);
return group && [group.getCTM().e, group.getCTM().f];
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("two") / "work"
    write_results(root, 9)
    with serving(root) as server:
        yield server


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("first")) as driver:
        yield driver


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("second")) as driver:
        yield driver


@pytest.fixture
def page(chromium: Chrome, server: Server) -> Iterator[Page]:
    yield from opened(chromium, server)


@pytest.fixture
def other(second: Chrome, server: Server) -> Iterator[Page]:
    yield from opened(second, server)


def both_moved(page: Page, other: Page, film: str) -> None:
    """The first person moves S by 6 and N by 6 pixels and saves; the second moves S up and A right, and is told."""
    page.open(film)
    other.open(film, OTHER)
    page.keys("." + Keys.ARROW_RIGHT * 6 + "." + Keys.ARROW_RIGHT * 6)
    page.wait(lambda: page.server.x(film, "N") == 36.25, "the first one saved")
    other.keys("." + Keys.ARROW_UP * 8)
    other.wait(lambda: other.all("#conflict table"), "the conflict")
    other.keys("...." + Keys.ARROW_RIGHT * 8)
    other.wait(lambda: other.all("[data-row=A]"), "the second point")


def moved(server: Server, film: str) -> dict[str, tuple[float, float]]:
    points = server.revisions(film)[-1]["points"]
    return {point["symbol"]: (point["x"], point["y"]) for point in points if point["source"] == "human"}


def test_both_versions_are_on_the_film(page: Page, other: Page, server: Server) -> None:
    both_moved(page, other, "film000")
    assert NAME in other.text("#conflict")
    assert [row.get_attribute("data-row") for row in other.all("[data-row]")] == ["S", "N", "A"]
    mine, theirs = (other.driver.execute_script(script, "S") for script in (ON_FILM, RIVAL))
    ratio = other.scale()
    assert (theirs[0] - mine[0], theirs[1] - mine[1]) == pytest.approx((6 * ratio, 8 * ratio), abs=0.6)
    colours = [
        other.driver.execute_script("return getComputedStyle(document.querySelector(arguments[0])).stroke", selector)
        for selector in ('g[data-symbol="S"] .cross', 'g[data-rival="S"] .cross')
    ]
    assert len(set(colours)) == 2
    # mine where I moved a point, theirs where only they did
    assert [one.get_attribute("aria-label").split(",")[0] for one in other.all("#conflict input:checked")] == [
        "S: mine",
        "N: theirs",
        "A: mine",
    ]
    assert {one["reviewer"] for one in server.revisions("film000")} == {NAME}


def test_keep_mine_and_a_later_undo_leaves_theirs_alone(page: Page, other: Page, server: Server) -> None:
    both_moved(page, other, "film001")
    other.click("[data-take=mine]")
    other.saved()
    assert moved(server, "film001") == {"S": (20.25, 42.75), "N": (36.25, 60.75), "A": (68.25, 90.75)}
    other.chord(Keys.CONTROL, "z")
    for _ in range(20):
        other.chord(Keys.CONTROL, "z")
    other.saved()
    other.wait(lambda: "A" not in moved(server, "film001"), "undone")
    # my moves are gone, and theirs of S is back, which mine had covered
    assert moved(server, "film001") == {"S": (26.25, 50.75), "N": (36.25, 60.75)}


def test_take_theirs(page: Page, other: Page, server: Server) -> None:
    both_moved(page, other, "film002")
    before = len(server.revisions("film002"))
    other.click("[data-take=theirs]")
    other.saved()
    assert not other.all("#conflict table")
    assert len(server.revisions("film002")) == before
    assert moved(server, "film002") == {"S": (26.25, 50.75), "N": (36.25, 60.75)}
    other.driver.refresh()
    other.loaded()
    assert not other.all("#conflict table")


def test_a_choice_for_each_point(page: Page, other: Page, server: Server) -> None:
    both_moved(page, other, "film003")
    other.click("[data-row=S] input[value=theirs]")
    other.click("[data-row=N] input[value=mine]")
    other.click("[data-take=chosen]")
    other.saved()
    # N is as detected again: the second person said so
    assert moved(server, "film003") == {"S": (26.25, 50.75), "A": (68.25, 90.75)}
    last = server.revisions("film003")[-1]
    assert last["reviewer"] == OTHER
    assert {"S", "A"} >= {one["symbol"] for one in last["points"] if one["source"] == "human"}


def test_the_choice_by_keyboard_alone(page: Page, other: Page, server: Server) -> None:
    both_moved(page, other, "film004")
    other.keys(Keys.ESCAPE)
    other.driver.execute_script("document.getElementById('conflict-title').focus()")
    # the button of S, then its choice, where the arrow takes the other side
    other.keys(Keys.TAB, Keys.TAB, Keys.ARROW_RIGHT)
    assert other.driver.switch_to.active_element.get_attribute("aria-label").startswith("S: theirs")
    other.keys(*[Keys.TAB] * 5, Keys.ENTER)
    other.saved()
    assert moved(server, "film004")["S"] == (26.25, 50.75)


def test_a_signature_under_an_older_revision_shows_the_newer_one(page: Page, other: Page, server: Server) -> None:
    page.open("film005")
    other.open("film005", OTHER)
    page.keys("." + Keys.ARROW_RIGHT * 6)
    page.wait(lambda: server.x("film005", "S") == 26.25, "saved")
    other.chord(Keys.CONTROL, Keys.ENTER)
    other.wait(lambda: "which is shown now" in other.text("#problem"), "the trouble is told")
    assert server.revisions("film005")[-1]["state"] == "draft"
    other.chord(Keys.CONTROL, Keys.ENTER)
    other.wait(lambda: other.text("#state") == "FINAL", "final")
    assert moved(server, "film005") == {"S": (26.25, 50.75)}


@pytest.fixture
def tabs(page: Page) -> Iterator[tuple[str, str]]:
    """Names of two tabs of one browser."""
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    second = page.driver.current_window_handle
    yield first, second
    for handle in page.driver.window_handles:
        if handle != first:
            page.driver.switch_to.window(handle)
            page.driver.close()
    page.driver.switch_to.window(first)


def test_another_tab_shows_what_this_one_saved(page: Page, server: Server, tabs: tuple[str, str]) -> None:
    first, second = tabs
    page.open("film006")
    page.driver.switch_to.window(first)
    page.open("film006")
    page.keys("." + Keys.ARROW_RIGHT * 6)
    page.wait(lambda: server.x("film006", "S") == 26.25, "saved")
    revision = len(server.revisions("film006"))
    page.driver.switch_to.window(second)
    page.wait(lambda: page.text("#saved") == f"Saved, revision {revision}", "the other tab follows")
    page.keys("." + "." + Keys.ARROW_RIGHT)
    page.wait(lambda: server.x("film006", "N") == 31.25, "saved on top, without a question")
    page.saved()
    assert server.x("film006", "S") == 26.25


def test_each_tab_has_its_own_unsaved_work(page: Page, server: Server, tabs: tuple[str, str]) -> None:
    first, second = tabs
    page.open("film007")
    page.driver.switch_to.window(first)
    page.open("film007")
    server.kill()
    page.keys("." + Keys.ARROW_RIGHT * 6)
    page.wait(lambda: "trying again" in page.text("#saved"), "the first tab is told")
    page.driver.switch_to.window(second)
    page.keys(".." + Keys.ARROW_RIGHT * 6)
    page.wait(lambda: "trying again" in page.text("#saved"), "the second tab is told")
    kept = page.driver.execute_script("return Object.keys(localStorage).filter(key => key.includes('unsaved'))")
    assert len(kept) == 2
    # the second tab dies with its work; the first one saves its own
    page.driver.execute_script("location.href = 'about:blank'")
    page.wait(lambda: page.driver.current_url == "about:blank", "the page is left")
    page.driver.switch_to.window(first)
    server.start()
    page.saved()
    assert moved(server, "film007") == {"S": (26.25, 50.75)}
    page.driver.switch_to.window(second)
    page.open("film007")
    page.wait(lambda: page.all("#conflict table"), "both versions, because the first tab saved meanwhile")
    page.click("[data-take=mine]")
    page.saved()
    assert moved(server, "film007") == {"S": (26.25, 50.75), "N": (36.25, 60.75)}
    assert not page.driver.execute_script("return Object.keys(localStorage).filter(key => key.includes('unsaved'))")


def test_work_of_a_tab_that_was_closed_goes_to_the_next(page: Page, server: Server, tabs: tuple[str, str]) -> None:
    first, _ = tabs
    page.open("film008")
    server.kill()
    page.keys("." + Keys.ARROW_RIGHT * 6)
    page.wait(lambda: "trying again" in page.text("#saved"), "the trouble is told")
    page.driver.close()
    page.driver.switch_to.window(first)
    server.start()
    page.open("film008")
    page.wait(lambda: server.x("film008", "S") == 26.25, "saved by the first tab")
