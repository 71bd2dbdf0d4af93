"""The pictures of the review in docs/images, on phantoms, with the shipped weights and the real page.

``python benchmarks/review_pictures.py docs/images`` draws phantoms, detects on them, opens the page in headless
Chromium, and writes review.png (a film whose porion is being moved), review-versions.png (two people saved the same
film) and review-readers.png (two blind readers). It needs Chromium and the extras ``review`` and ``node-tests``.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))
from review_browser import NAME, Page, browsing, serving
from selenium.webdriver import ActionChains

from monai_ceph.review.films import ResultFilms
from monai_ceph.review.models import Save, Sign
from monai_ceph.review.service import ReviewService

SEED, FILMS = 2026, 6
GREYS, CHROMA = 128, 12
SECOND = "Dr. Bea Example"


def save(page: Page, target: Path) -> None:
    """Write what the browser shows in few colours: greys for the film, and as many others as it has apart from them."""
    picture = Image.open(BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    pixels = np.asarray(picture)
    bright = pixels[np.ptp(pixels, axis=2) > CHROMA]
    others = Image.fromarray(bright[None]).quantize(256 - GREYS, dither=Image.Dither.NONE).getpalette()
    greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(int), 3).tolist()
    palette = Image.new("P", (1, 1))
    palette.putpalette(greys + (others or [])[: 3 * (256 - GREYS)])
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{target}: {target.stat().st_size // 1000} kB")


def rested(page: Page, symbol: str = "S") -> None:
    """Wait until the film lies still and the loupe is gone."""
    page.settled(symbol)
    page.wait(lambda: not page.driver.find_element("css selector", ".loupe").is_displayed(), "no loupe")


def a_point_moves(page: Page, target: Path) -> None:
    page.open("005")
    page.keys("n")
    page.settled("Po")
    page.keys("p")
    page.saved()
    page.keys("0")
    page.settled("Po")
    ActionChains(page.driver).click_and_hold(page.hit("Po")).move_by_offset(7, -5).perform()
    time.sleep(1)
    save(page, target)
    ActionChains(page.driver).release().perform()
    page.saved()


def two_versions(page: Page, other: Page, target: Path) -> None:
    for each, name in ((page, NAME), (other, SECOND)):
        each.open("002", name)
        each.settled()
    for each, moves in ((other, {"Go": (30, 26), "Me": (26, 20)}), (page, {"Go": (-28, 14), "PNS": (-22, -18)})):
        for symbol, by in moves.items():
            ActionChains(each.driver).drag_and_drop_by_offset(each.hit(symbol), *by).perform()
        each.wait(lambda each=each: each.text("#saved").startswith(("Saved", "Not saved")), "saved, or told")
    page.wait(lambda: page.all(".versions:not([hidden])"), "both versions")
    rested(page)
    save(page, target)


def readings(results: Path, films: Path) -> None:
    """Let two people read all films blind; they scatter by a millimetre, and the second one leans to the right."""
    for name, shift in ((NAME, 0.0), (SECOND, 4.0)):
        service, scatter = ReviewService(results, [films], name, blind=True), random.Random(name)
        for film in ResultFilms(results, [films]).all():
            marks = {mark.symbol: mark for mark in film.detection.landmarks}
            points = []
            for point in service.current(film).points:
                mark = marks[point.symbol]
                # a missing landmark is read where it is expected
                x, y = mark.x or mark.expected_x or 0, mark.y or mark.expected_y or 0
                place = {"x": x + shift + scatter.gauss(0, 7), "y": y + scatter.gauss(0, 7)}
                points.append(point.model_copy(update={**place, "source": "human"}))
            saved = service.save(film, Save(based_on=0, reviewer=name, points=tuple(points)))
            service.sign(film, Sign(based_on=saved.revision, reviewer=name))
        service.close()


def main() -> None:
    """Make all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        films, results = root / "films", root / "results"
        for command in (
            ["phantom", str(films), "--count", str(FILMS), "--seed", str(SEED)],
            ["detect", str(films), "--out", str(results)],
        ):
            subprocess.run([sys.executable, "-m", "monai_ceph", *command], check=True)
        readings(results, films)
        with serving(root) as server, browsing(root / "one") as driver, browsing(root / "two") as another:
            page, other = Page(driver, server), Page(another, server)
            a_point_moves(page, out / "review.png")
            two_versions(page, other, out / "review-versions.png")
            driver.get("about:blank")
            driver.get(f"{server.url}#/readers")
            page.wait(lambda: page.all(".plot"), "the plot")
            save(page, out / "review-readers.png")


if __name__ == "__main__":
    main()
