"""How the page for reviews feels: scrolling, measuring while a point moves, signing, heatmaps; in headless Chromium.

``python benchmarks/review_page.py`` serves ``--films`` results on one phantom of 1935 x 2400 pixels with the real
server, opens the page, and prints

- the time between frames while the worklist is scrolled, in turn with the page at rest and with a control: as many rows
  that are all there from the start, without any script. What the control shows is the machine and the browser. Also
  tasks over 50 ms, and frames in which a part of the list was empty;
- the time from a move of the mouse until the measurements beside the film have changed: moves one by one, and a drag;
- seconds and clicks from a click on a film to FINAL when three points need a move, without the person's own time;
- with ``--heatmap``, the seconds until the heatmaps are seen.

Times are those of the wall. Processor time is given beside them, because it does not depend on the load: of the page's
main thread, and of the server. It needs Chromium and the extras ``review`` and ``node-tests``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))
from dicom_films import detection_on
from review_browser import Page, Server, browsing, serving
from selenium.webdriver import ActionChains

from monai_ceph.datasets.phantom import draw_phantom, write_phantoms
from monai_ceph.reports.json_result import save_json

SEED = 1
PASSES, REST_S = 3, 4
# pixels of the worklist, and of these in a second: a hard turn of the wheel
DISTANCE, SPEED = 16000, 4000
MOVES = 60
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
const seen = window.seen = { moves: [], answers: [] };
document.addEventListener('pointermove', event => { if (event.buttons) seen.moves.push(event.timeStamp); }, true);
// a frame later, which is when a person sees it
const painted = () => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => seen.answers.push(performance.now());
  port2.postMessage(0);
});
new MutationObserver(painted).observe(
  document.querySelector('.measured'), { childList: true, subtree: true, characterData: true });
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


def drag(page: Page) -> None:
    page.open("film0000")
    page.settled()
    x, y = page.middle('g[data-symbol="N"] .hit')

    def mouse(kind: str, dx: int, dy: int) -> None:
        what = {"type": kind, "x": x + dx, "y": y + dy, "button": "left", "buttons": 1, "clickCount": 1}
        page.driver.execute_cdp_cmd("Input.dispatchMouseEvent", what)

    page.driver.execute_script(DRAGGED)
    mouse("mousePressed", 0, 0)
    # the viewer looks at each frame whether something changed, also at rest
    rest = page_ms(page)
    time.sleep(REST_S)
    rest = (page_ms(page) - rest) / REST_S
    server, own, start = server_ms(page.server), page_ms(page), time.monotonic()
    alone = []
    for step in range(1, MOVES + 1):
        page.driver.execute_script("seen.moves = []; seen.answers = []")
        mouse("mouseMoved", step % 7, step % 5)
        page.wait(lambda: page.driver.execute_script("return seen.answers.length"), "other measurements")
        move, answer = page.driver.execute_script("return [seen.moves[0], seen.answers.at(-1)]")
        alone.append(answer - move)
    own = (page_ms(page) - own - rest * (time.monotonic() - start)) / MOVES
    server = (server_ms(page.server) - server) / MOVES
    quick = sum(one < LONG_MS for one in alone)
    shares = f"{quick} of {MOVES} under {LONG_MS} ms; server {server:.1f} ms, page {own:.1f} ms each"
    print(f"moves alone   {spread(alone)}; {shares}")
    page.driver.execute_script("seen.moves = []; seen.answers = []")
    for step in range(MOVES):
        mouse("mouseMoved", step, step % 9)
    page.wait(lambda: page.driver.execute_script("return seen.answers.at(-1) > seen.moves.at(-1)"), "the last answer")
    moves, answers = page.driver.execute_script("return [seen.moves, seen.answers]")
    print(
        f"in a drag     {len(moves)} moves and {len(answers)} answers in {(moves[-1] - moves[0]) / 1000:.1f} s; "
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
    options = parser.parse_args()
    print("load          {:.1f}, {:.1f} and {:.1f} in the last 1, 5 and 15 minutes".format(*os.getloadavg()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_results(folder / "work", options.films)
        with serving(folder / "work") as server, browsing(folder / "profile") as driver:
            driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            page = Page(driver, server)
            worklist(page, options.films)
            drag(page)
            to_final(page)
            if options.heatmap:
                heatmaps(page)
    print("load          {:.1f}, {:.1f} and {:.1f}".format(*os.getloadavg()))


if __name__ == "__main__":
    main()
