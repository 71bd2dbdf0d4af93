"""The page of a running node in a browser: its contents, button and token, and hostile text from a sender."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("selenium", reason="the extra node-tests is not installed (make optional)")
from nodes import RunningNode, film, free_port, listens, running, send, settings, wait_until
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()),
    reason="Chromium is not installed (apt-get install chromium chromium-driver)",
)
TOKEN = "hush-hush"
# as long as an AE title may be; it would ask another machine for a script
SENDER = "<script src=//x>"
TARGET = "<b id=strange>"
LONG_UID = "1.2.826.0.1.3680043.8.498." + "7" * 38


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    switches = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    for switch in (*switches.split(), "--disable-component-update", "--disable-sync"):
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(chromium: Chrome) -> Chrome:
    """The browser at an empty page, with all forgotten that it logged before."""
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.get("about:blank")
    for name in ("browser", "performance"):
        chromium.get_log(name)
    return chromium


@contextmanager
def node_with_page(folder: Path, token: str | None = None) -> Iterator[tuple[RunningNode, str]]:
    """Run a node with two dead letters, a film that waits for its target, and one that is no cephalogram."""
    port = free_port()
    values = settings(folder, http={"host": "127.0.0.1", "port": port, "token": token})
    values["accept"]["calling_ae_titles"] = "any"
    values["targets"]["dicom"][0]["ae_title"] = TARGET
    with running(folder, values) as node:
        films = (film(1, level=1), film(2), film(3, level=1, SOPInstanceUID=LONG_UID), film(4, Modality="CT"))
        assert send(node.port, *films, calling=SENDER) == [0, 0, 0, 0]
        node.wait_for("dead", 2)
        node.wait_for("skipped")
        node.wait_for("target failed")
        wait_until(lambda: listens(port))
        yield node, f"127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, str]]:
    with node_with_page(tmp_path_factory.mktemp("page")) as found:
        yield found


def events(browser: Chrome, name: str) -> list[dict[str, Any]]:
    """Return what the browser did since it was last asked."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [message["params"] for message in messages if message["method"] == name]


def text(browser: Chrome, where: str) -> str:
    """Return what is seen at the first element of a CSS selector, in one step: the page reloads itself."""
    found = browser.execute_script("return document.querySelector(arguments[0])?.innerText", where)
    return "" if found is None else str(found)


def press(browser: Chrome, label: str) -> None:
    """Press a button, even if the page reloads itself just then."""

    def pressed() -> bool:
        try:
            browser.find_element(By.CSS_SELECTOR, f"button[aria-label='{label}']").click()
        except StaleElementReferenceException:
            return False
        return True

    wait_until(pressed)


def retry(browser: Chrome, node: RunningNode, uid: str) -> None:
    """Press the button of a dead letter; the same film is no more a cephalogram than before, and is one again."""
    before = len(node.events("dead"))
    press(browser, f"Retry {uid}")
    wait_until(lambda: text(browser, "#retried").startswith(f"Film {uid} was put back into the queue."))
    assert node.wait_for("dead", before + 1)[-1]["uid"] == uid


def test_queue_films_and_failures(browser: Chrome, place: tuple[RunningNode, str]) -> None:
    url = f"http://{place[1]}"
    browser.get(url)
    counts = {state: text(browser, f"#{state}") for state in ("received", "detected", "done", "dead", "skipped")}
    assert counts == {"received": "0", "detected": "1", "done": "0", "dead": "2", "skipped": "1"}
    assert "no association with" in text(browser, "#targets")
    dead = text(browser, "#dead-letters")
    assert "1.2.3.1.3" in dead
    assert LONG_UID in dead
    assert dead.count("rejected: not a lateral cephalogram") == 2
    assert "1.2.3.2.3" not in dead
    last = text(browser, "#last")
    for word in ("1.2.3.1.3", "1.2.3.2.3", LONG_UID, "1.2.3.4.3", "being sent", "dead letter", "Modality CT"):
        assert word in last
    # nothing came from elsewhere, and nothing was missed
    asked = {each["request"]["url"] for each in events(browser, "Network.requestWillBeSent")}
    assert url in asked
    assert asked <= {url, "data:,"}
    assert browser.get_log("browser") == []


def test_text_from_a_sender_is_escaped(browser: Chrome, place: tuple[RunningNode, str]) -> None:
    browser.get(f"http://{place[1]}")
    assert SENDER in text(browser, "#last")
    assert TARGET in text(browser, "#targets")
    assert browser.find_elements(By.CSS_SELECTOR, "script, #strange") == []
    # the console would name a script that the policy of the page stopped
    assert browser.get_log("browser") == []


def test_the_button_retries_a_dead_letter(browser: Chrome, place: tuple[RunningNode, str]) -> None:
    node, address = place
    # a link by itself does nothing, and the page does not say that it did
    browser.get(f"http://{address}?retried=2")
    assert text(browser, "h1") == "Node CEPH"
    assert text(browser, "#retried") == ""
    retry(browser, node, LONG_UID)
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [320, 400, 760])
def test_the_page_does_not_scroll_sideways(browser: Chrome, place: tuple[RunningNode, str], width: int) -> None:
    node, address = place
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(f"http://{address}")
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]
    retry(browser, node, LONG_UID)
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]


def test_the_token(browser: Chrome, tmp_path: Path) -> None:
    with node_with_page(tmp_path, TOKEN) as (node, address):
        for login in ("", "anybody:wrong@"):
            browser.get(f"http://{login}{address}")
            answers = events(browser, "Network.responseReceivedExtraInfo")
            assert [answer["statusCode"] for answer in answers] == [401]
            assert answers[0]["headers"]["www-authenticate"] == 'Basic realm="monai-ceph"'
            assert text(browser, "h1") == ""
        browser.get(f"http://anybody:{TOKEN}@{address}")
        assert text(browser, "h1") == "Node CEPH"
        # from here on the browser sends the token by itself, with forms of strangers too
        form = f"<form method=post action=http://{address}films/1/retry><button aria-label=Win>Win</button></form>"
        browser.get(f"data:text/html,{form}")
        press(browser, "Win")
        wait_until(lambda: "comes from another site" in text(browser, "body"))
        assert len(node.events("dead")) == 2
        browser.get(f"http://{address}")
        retry(browser, node, "1.2.3.1.3")
