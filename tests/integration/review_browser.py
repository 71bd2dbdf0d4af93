"""A real server for reviews, and a page in real headless Chromium, as a person uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_films import detection_on, without
from PIL import Image
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from servers import REPOSITORY, START_SECONDS, answers, free_port, wait_until

from monai_ceph.landmarks import SYMBOLS
from monai_ceph.reports.json_result import save_json

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()),
    reason="Chromium is not installed (apt-get install chromium chromium-driver)",
)
SECONDS = 60
NAME = "Dr. Ada Byron"
ON_FILM = """
const group = document.querySelector(`g[data-symbol="${arguments[0]}"]`);
return group && [group.getCTM().e, group.getCTM().f];
"""


def write_results(root: Path, films: int, big: int | None = None, missing: int | None = None, **changes: Any) -> None:
    """Write ``films`` small films into root/films and results on them into root/results.

    Args:
        root: folder that is made.
        films: how many, film000.png and so on.
        big: number of the one that has 20 megapixels.
        missing: number of the one without Porion.
        changes: to the detections.
    """
    (root / "films").mkdir(parents=True)
    (root / "results" / "json").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (100, 125)).astype(np.uint8)
    pictures: dict[int, tuple[bytes, int, int]] = {}
    for number in range(films):
        # those after the first dozen are only seen in the list
        scale = 40 if number == big else 4 if number < 12 else 1
        if scale not in pictures:
            pixels = np.kron(noise, np.ones((scale, scale), np.uint8))
            file = BytesIO()
            Image.fromarray(pixels).save(file, "PNG", compress_level=1)
            pictures[scale] = (file.getvalue(), *pixels.shape)
        data, rows, columns = pictures[scale]
        name = f"film{number:03}"
        (root / "films" / f"{name}.png").write_bytes(data)
        about = {"image_uid": None, "study_uid": None, "series_uid": None}
        scaled = {"pixel_spacing": None, "spacing_source": "none", **changes}
        detection = detection_on(file=f"{name}.png", rows=rows, columns=columns, **about, **scaled)
        save_json(
            root / "results" / "json" / f"{name}.json", without(detection, "Po") if number == missing else detection
        )


class Server:
    """``monai-ceph review`` in a process of its own, which may be killed and started again at the same port."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root, self.options, self.port = root, options, free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--films", str(self.root / "films"), "--port", str(self.port), *self.options]
        command = [sys.executable, "-m", "monai_ceph", "review", str(self.root / "results"), *options]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
            )
        wait_until(lambda: self.process.poll() is not None or answers(self.url), START_SECONDS, "the server answers")  # type: ignore[union-attr]
        assert self.process.poll() is None, (self.root / "log").read_text()

    def kill(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def revisions(self, film: str, folder: str = "reviews") -> list[dict[str, Any]]:
        found = [path for path in (self.root / "results" / folder).rglob("*.json") if path.parent.name == film]
        return [json.loads(path.read_text()) for path in sorted(found) if not path.name.startswith(".")]

    def point(self, film: str, symbol: str) -> dict[str, Any] | None:
        revisions = self.revisions(film)
        return next((one for one in revisions[-1]["points"] if one["symbol"] == symbol), None) if revisions else None

    def x(self, film: str, symbol: str) -> float | None:
        point = self.point(film, symbol)
        return None if point is None else point["x"]


@contextmanager
def serving(root: Path, *options: str) -> Iterator[Server]:
    """Run a server on results that :func:`write_results` wrote, until the end of the block."""
    server = Server(root, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def browsing(folder: Path, asking: bool = False) -> Iterator[Chrome]:
    """Run a browser with a profile of its own, until the end of the block.

    Args:
        folder: holds the profile.
        asking: whether a page with unsaved work asks before it is left.
    """
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    usual = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    own = ("--window-size=1440,900", f"--user-data-dir={folder}")
    for switch in (*usual.split(), "--disable-component-update", "--disable-sync", *own):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if asking:
        # without BiDi, the driver leaves every page unasked
        options.set_capability("webSocketUrl", True)
        options.set_capability("unhandledPromptBehavior", {"default": "ignore", "beforeUnload": "ignore"})
    driver = Chrome(options, Service(str(DRIVER)))
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
        search = self.driver.find_element(By.CSS_SELECTOR, "input[type=search]")
        search.clear()
        search.send_keys(f"{film}.")
        self.wait(lambda: len(self.all(".film-row")) == 1, "the film is found")
        self.click(".film-row")
        self.loaded()

    def film_id(self) -> str:
        """Return the id of the film that is shown."""
        return str(self.driver.execute_script("return location.hash")).rsplit("/", 1)[1]

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

    def middle(self, selector: str) -> tuple[float, float]:
        """Return where the middle of an element is in the window, for touches."""
        box = self.driver.execute_script(
            "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]",
            selector,
        )
        return box[0], box[1]

    def touch(self, kind: str, *places: tuple[float, float]) -> None:
        """Send what fingers do, as a touch screen would: ``touchStart``, ``touchMove`` or ``touchEnd``."""
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def wait(self, done: Callable[[], Any], what: str) -> None:
        wait_until(lambda: bool(done()), SECONDS, what)

    def saved(self) -> None:
        self.wait(lambda: self.text("#saved").startswith("Saved"), f"saved, not {self.text('#saved')}")

    def settled(self, symbol: str = "S") -> None:
        """Wait until the film no longer moves on the screen."""
        last: list[Any] = [None]

        def still() -> bool:
            now, last[0] = last[0], self.driver.execute_script(ON_FILM, symbol)
            return bool(now == last[0])

        self.wait(still, "the film rests")

    def scale(self, symbol: str = "S") -> float:
        """Return screen pixels per source pixel, from this point and Ar; detections are 10 pixels a landmark apart."""
        one, two = (self.driver.execute_script(ON_FILM, each) for each in (symbol, "Ar"))
        return float((two[0] - one[0]) / (10 * (SYMBOLS.index("Ar") - SYMBOLS.index(symbol))))

    def errors(self) -> list[str]:
        """Return what the page got wrong since the last call; a server that is away or refuses is no such thing."""
        log = [one["message"] for one in self.driver.get_log("browser")]
        return [message for message in log if "ERR_CONNECTION" not in message and " 409 " not in message]


def opened(driver: Chrome, server: Server) -> Iterator[Page]:
    """Yield a fresh page, and check at the end that it made no error."""
    # what an earlier test left: a killed server, or work that its page had not seen saved
    if server.process is None or server.process.poll() is not None:
        server.start()
    driver.get("about:blank")
    driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": server.url, "storageTypes": "local_storage"})
    driver.get_log("browser")
    page = Page(driver, server)
    yield page
    assert page.errors() == []
