"""How the page for reviews feels: scrolling, measuring while a point moves, signing, heatmaps; in headless Chromium.

``python benchmarks/review_page.py`` serves ``--films`` results on one phantom of 1935 x 2400 pixels with the real
server, opens the page, and prints

- the time between frames while the worklist is scrolled, in turn with the page at rest and with a control: as many rows
  that are all there from the start, without any script. What the control shows is the machine and the browser. Also
  tasks over 50 ms, and frames in which a part of the list was empty;
- the time from a move of the mouse until a frame with other measurements beside the film is drawn, on this film and on
  one of 20 megapixels: moves one by one, with their parts, and a drag. In turn with a control: moves until a frame with
  another word is drawn, without a server. What the control shows is the machine and the browser;
- seconds and clicks from a click on a film to FINAL when three points need a move, without the person's own time;
- with ``--heatmap``, the seconds until the heatmaps are seen.

Times are those of the wall. Processor time is given beside them, because it does not depend on the load: of the page's
main thread, and of the server. The first line says how busy the machine was before; only an idle one gives figures to
compare. It needs Chromium and the extras ``review`` and ``node-tests``.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))
import numpy as np
from dicom_films import detection_on
from PIL import Image
from review_browser import Page, Server, browsing, serving
from selenium.webdriver import ActionChains

from monai_ceph.datasets.phantom import draw_phantom, write_phantoms
from monai_ceph.reports.json_result import save_json
from monai_ceph.result import Detection

SEED = 1
PASSES, REST_S = 3, 4
# pixels of the worklist, and of these in a second: a hard turn of the wheel
DISTANCE, SPEED = 16000, 4000
# of each pass
MOVES = 20
LARGE = "large.png"
LONG_MS = 50
WATCH = """
const seen = window.seen = { frames: [], long: [], empty: 0, stop: false };
seen.observer = new PerformanceObserver(list => seen.long.push(...list.getEntries().map(one => one.duration)));
seen.observer.observe({ type: 'longtask' });
const list = document.querySelector('.films');
const gap = () => {
  const box = list.getBoundingClientRect();
  const rows = [...list.querySelectorAll('.film-row')].map(row => row.getBoundingClientRect());
  const [top, bottom] = [Math.min(...rows.map(row => row.top)), Math.max(...rows.map(row => row.bottom))];
  return top > box.top + 8 || bottom < box.bottom - 8;
};
let last = 0;
const frame = now => {
  if (seen.stop) return;
  if (last) seen.frames.push(now - last);
  last = now;
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
// the page's own work for the frame comes first
seen.scrolled = () => requestAnimationFrame(() => { seen.empty += gap(); });
list.addEventListener('scroll', seen.scrolled);
"""
STOP = """
seen.stop = true;
seen.observer.disconnect();
document.querySelector('.films').removeEventListener('scroll', seen.scrolled);
return [seen.frames, seen.long, seen.empty];
"""
CONTROL = """
const list = document.querySelector('.films');
const rows = [...list.querySelectorAll('li:not(.space)')];
const plain = list.cloneNode(false);
for (let at = 0; at < arguments[0]; at++) {
  const row = rows[at % rows.length].cloneNode(true);
  row.style.transform = `translateY(${76 * at}px)`;
  plain.append(row);
}
list.replaceWith(plain);
"""
DRAGGED = """
const seen = window.seen = { moves: [], changes: [], answers: [] };
document.addEventListener('pointermove', event => { seen.moves.push(event.timeStamp); }, true);
// when the frame is drawn, as near as a script can tell; the screen shows it a little later
const changed = () => {
  const change = performance.now();
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { seen.changes.push(change); seen.answers.push(performance.now()); };
    port2.postMessage(0);
  });
};
const watch = element =>
  new MutationObserver(changed).observe(element, { childList: true, subtree: true, characterData: true });
// those in sight; the others follow later
watch(document.querySelector('.measurements tbody'));
// the control: a word that a move changes
const word = document.querySelector('aside').appendChild(document.createElement('p'));
watch(word);
let moves = 0;
document.addEventListener('pointermove', event => { if (!event.buttons) word.textContent = `${++moves}`; });
"""
# for the last move: when the page asked, and when it had the answer
ASKED = """
const [one] = performance.getEntriesByType('resource').filter(entry => entry.name.endsWith('/measure')).slice(-1);
return [seen.moves[0], one?.startTime, one?.responseEnd, seen.changes.at(-1), seen.answers.at(-1)];
"""


def write_results(root: Path, films: int) -> None:
    """Write results into root/results, and films into root/films: hard links to one phantom."""
    (original,) = write_phantoms(root / "phantom", 1, SEED, file_format="png")
    phantom = draw_phantom(SEED)
    (root / "films").mkdir()
    rows, columns = phantom.pixels.shape
    scale = {"pixel_spacing": (phantom.pixel_spacing,) * 2, "spacing_source": "user"}
    film = detection_on(image_uid=None, study_uid=None, series_uid=None, rows=rows, columns=columns, **scale)
    places = zip(film.landmarks, phantom.landmarks.tolist(), strict=True)
    film = film.model_copy(update={"landmarks": tuple(_at(mark, row, column) for mark, (row, column) in places)})
    for number in range(films):
        name = f"film{number:04}.png"
        (root / "films" / name).hardlink_to(original)
        save_json(root / "results" / "json" / f"{name}.json", film.model_copy(update={"file": name}))
    write_large(root, film, phantom.pixels)


def write_large(root: Path, film: Detection, pixels: np.ndarray) -> None:
    """Write the phantom again, twice as large, and with a black edge so that it has 20 megapixels."""
    twice = np.kron(pixels, np.ones((2, 2), pixels.dtype))
    rows, columns = twice.shape
    large = np.pad(twice, ((0, max(0, 5000 - rows)), (0, max(0, 4000 - columns))))
    Image.fromarray(large).save(root / "films" / LARGE, compress_level=1)
    marks = tuple(_at(mark, 2 * mark.y + 0.5, 2 * mark.x + 0.5) for mark in film.landmarks)
    rows, columns = large.shape
    about = {"file": LARGE, "rows": rows, "columns": columns, "landmarks": marks}
    save_json(root / "results" / "json" / f"{LARGE}.json", film.model_copy(update=about))


def _at(mark: object, row: float, column: float) -> object:
    return mark.model_copy(update={"x": column, "y": row, "radius_90_px": 12.0, "radius_95_px": 16.0})  # type: ignore[attr-defined]


def server_ms(server: Server) -> float:
    """Return the processor time of the server so far, in ms."""
    assert server.process is not None
    times = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return 1000 * (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def page_ms(page: Page) -> float:
    """Return the processor time of the page's main thread so far, in ms."""
    found = page.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return 1000 * next(one["value"] for one in found if one["name"] == "TaskDuration")


def machine() -> str:
    """Return what the machine is, and how busy it is with other things."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in cpus if line.startswith("model name")), platform.machine())

    def busy() -> tuple[float, float]:
        times = [float(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(times) - times[3] - times[4], sum(times)

    before = busy()
    time.sleep(REST_S)
    used, whole = (after - one for after, one in zip(busy(), before, strict=True))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{os.cpu_count()} x {name}; {used / whole:.0%} busy with other things, load {load} (1, 5, 15 minutes)"


def spread(values: list[float]) -> str:
    late = sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]
    return f"{statistics.median(values):6.1f} ms median, {late:6.1f} at 95 %, {max(values):6.1f} longest"


def watched(page: Page, name: str, work: Callable[[], None]) -> None:
    """Print how the frames of the worklist were during some work."""
    page.driver.execute_script(WATCH)
    before = page_ms(page)
    work()
    frames, long, empty = page.driver.execute_script(STOP)
    cost = (page_ms(page) - before) / len(frames)
    tasks = f"{len(long)} tasks over {LONG_MS} ms" + (f" ({max(long):.0f})" if long else "")
    print(f"{name:<14}{len(frames):4} frames: {spread(frames)}; {tasks}; {empty} with a gap; page {cost:.1f} ms each")


def scroll(page: Page, distance: int) -> None:
    x, y = page.middle(".films")
    gesture = {"x": x, "y": y, "yDistance": -distance, "speed": SPEED, "gestureSourceType": "mouse"}
    page.driver.execute_cdp_cmd("Input.synthesizeScrollGesture", gesture)


def worklist(page: Page, films: int) -> None:
    for name in ("first", "again"):
        start, before = time.monotonic(), server_ms(page.server)
        page.driver.get(page.server.url)
        page.wait(lambda: page.all(".film-row"), "the worklist")
        seconds, cost = time.monotonic() - start, server_ms(page.server) - before
        print(f"{'opened ' + name:<14}{films} films in {seconds:.1f} s; server {cost:.0f} ms")
    for number in range(PASSES):
        watched(page, "at rest", lambda: time.sleep(REST_S))
        watched(page, "down, again" if number else "down, first", lambda: scroll(page, DISTANCE))
        watched(page, "up", lambda: scroll(page, -DISTANCE))
        page.driver.execute_script(CONTROL, DISTANCE // 76 + 20)
        time.sleep(1)
        watched(page, "control, down", lambda: scroll(page, DISTANCE))
        watched(page, "control, up", lambda: scroll(page, -DISTANCE))
        page.driver.get(page.server.url)
        page.wait(lambda: page.all(".film-row"), "the worklist")


class Mouse:
    """A mouse as the browser has it; it moves from a place in the window."""

    def __init__(self, page: Page, selector: str, button: int = 0) -> None:
        self._page, self._button = page, button
        self._x, self._y = page.middle(selector)

    def __call__(self, kind: str, dx: int, dy: int) -> None:
        """Send an event at so many pixels from the place."""
        what = {"type": kind, "x": self._x + dx, "y": self._y + dy, "buttons": self._button}
        pressed = {"button": "left", "clickCount": 1} if self._button else {}
        self._page.driver.execute_cdp_cmd("Input.dispatchMouseEvent", what | pressed)


def moved(page: Page, mouse: Mouse) -> list[list[float]]:
    """Move one by one. Return the times of each move, see ASKED."""
    found = []
    for step in range(1, MOVES + 1):
        page.driver.execute_script("seen.moves = []; seen.changes = []; seen.answers = []")
        mouse("mouseMoved", step % 7, step % 5)
        # to ask the page is work for it; and frames must not keep step with moves
        time.sleep(random.uniform(0.1, 0.15))
        page.wait(lambda: page.driver.execute_script("return seen.answers.length"), "other measurements")
        found.append(page.driver.execute_script(ASKED))
    return found


def drag(page: Page, film: str) -> None:
    page.open(film)
    page.settled()
    page.driver.execute_script(DRAGGED)
    alone, control = [], []
    server = own = 0.0
    for _ in range(PASSES):
        still = Mouse(page, ".info")
        control += moved(page, still)
        mouse = Mouse(page, 'g[data-symbol="N"] .hit', 1)
        mouse("mousePressed", 0, 0)
        # the viewer looks at each frame whether something changed, also at rest
        rest = page_ms(page)
        time.sleep(REST_S)
        rest = (page_ms(page) - rest) / REST_S
        before, start = (server_ms(page.server), page_ms(page)), time.monotonic()
        alone += moved(page, mouse)
        server += server_ms(page.server) - before[0]
        own += page_ms(page) - before[1] - rest * (time.monotonic() - start)
        mouse("mouseReleased", 0, 0)
        page.saved()
    print(film)
    print(f"  control     {spread([one[-1] - one[0] for one in control])}")
    whole = [one[-1] - one[0] for one in alone]
    quick = sum(one < LONG_MS for one in whole)
    print(f"  move        {spread(whole)}; {quick} of {len(whole)} ({quick / len(whole):.0%}) under {LONG_MS} ms")
    for at, name in enumerate(("until asked", "the server", "until written", "until drawn")):
        print(f"  {name:<13}{spread([one[at + 1] - one[at] for one in alone])}")
    print(f"  processor   server {server / len(whole):.1f} ms, page {own / len(whole):.1f} ms each")
    hold(page)


def hold(page: Page) -> None:
    """Print how measurements follow in a drag."""
    mouse = Mouse(page, 'g[data-symbol="N"] .hit', 1)
    mouse("mousePressed", 0, 0)
    page.driver.execute_script("seen.moves = []; seen.answers = []")
    for step in range(1, MOVES + 1):
        mouse("mouseMoved", step, step % 9)
    page.wait(lambda: page.driver.execute_script("return seen.answers.at(-1) > seen.moves.at(-1)"), "the last answer")
    moves, answers = page.driver.execute_script("return [seen.moves, seen.answers]")
    print(
        f"  in a drag   {len(moves)} moves and {len(answers)} answers in {(moves[-1] - moves[0]) / 1000:.1f} s; "
        f"the last answer {answers[-1] - moves[-1]:.0f} ms after the last move"
    )
    mouse("mouseReleased", MOVES, 0)
    page.saved()


def heatmaps(page: Page) -> None:
    for film, symbol in (("film0001", "S"), ("film0001", "Po"), ("film0002", "S")):
        page.open(film)
        page.click(f'.points button[data-symbol="{symbol}"]')
        start = time.monotonic()
        page.click("#heatmap")
        page.wait(lambda: "highest" in page.text("#heat") or "No heatmap" in page.text("#heat"), "the heatmap")
        print(f"heatmap       {time.monotonic() - start:.1f} s: {film}, {page.text('#heat')}")


def to_final(page: Page) -> None:
    page.open("film0003")
    page.keys("w")
    page.wait(lambda: page.all(".film-row"), "the worklist")
    start, clicks = time.monotonic(), 1
    page.driver.switch_to.active_element.click()
    page.loaded()
    page.settled()
    shown = time.monotonic() - start
    for symbol in ("N", "A", "Me"):
        ActionChains(page.driver).drag_and_drop_by_offset(page.hit(symbol), 25, 15).perform()
        clicks += 1
    page.click("#sign")
    clicks += 1
    page.wait(lambda: page.text("#state") == "FINAL", "final")
    print(f"to FINAL      {clicks} clicks, {time.monotonic() - start:.1f} s, of which {shown:.1f} s to see the film")


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=1000, help="at least 4")
    parser.add_argument("--heatmap", action="store_true")
    parser.add_argument("--only-moves", action="store_true", help="leave out the worklist and the signing")
    options = parser.parse_args()
    print(f"machine       {machine()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_results(folder / "work", options.films)
        with serving(folder / "work") as server, browsing(folder / "profile") as driver:
            driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            page = Page(driver, server)
            if not options.only_moves:
                worklist(page, options.films)
            drag(page, "film0000")
            drag(page, LARGE.removesuffix(".png"))
            if not options.only_moves:
                to_final(page)
            if options.heatmap:
                heatmaps(page)
    print("load          {:.1f}, {:.1f} and {:.1f}".format(*os.getloadavg()))


if __name__ == "__main__":
    main()
