"""Draw the pictures of an overlay, a tracing, a report and a comparison in docs/images, with the shipped weights.

``python docs/report_pictures.py`` needs Chromium. It draws the films of ``make demo`` in a folder of its own, so the
pictures show synthetic films only.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = Path(__file__).parent / "images"
NORMS = ("steiner", "downs", "ricketts", "jarabak", "eastman")
GREYS, COLOURS = 64, 96
# width of the pictures that come from files, and size of the browser's window
WIDTHS = {"overlay": 720, "tracing": 640}
WINDOWS = {"report": (1100, 1280), "comparison": (1100, 1000)}


def monai_ceph(*words: str | Path) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "monai_ceph", *map(str, words)], check=True)


def photograph(page: Path, size: tuple[int, int], target: Path) -> None:
    """Take a picture of the upper part of a page."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("needs Chromium")
    how = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=3000")
    window = f"--window-size={size[0]},{size[1]}"
    subprocess.run([browser, *how, window, f"--screenshot={target}", page.as_uri()], check=True, capture_output=True)


def save_small(picture: Image.Image, target: Path) -> None:
    """Save a picture with few greys and its own colours: below 300 kB, where a common palette would dull the lines."""
    pixels = np.asarray(picture)
    coloured = pixels[np.ptp(pixels.astype(int), axis=2) > 24]
    own = Image.fromarray(coloured[None]).quantize(COLOURS, dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(
        [*own[: 3 * COLOURS], *(level for grey in np.linspace(0, 255, GREYS) for level in [round(grey)] * 3)]
    )
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(target, optimize=True)


def main() -> None:
    """Write the four pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films, results = folder / "films", folder / "results"
        monai_ceph("phantom", films, "--count", "4", "--seed", "2026")
        monai_ceph("detect", films, "--out", results, "--formats", "json,overlay,tracing-png")
        chosen = [word for each in NORMS for word in ("--norms", each)]
        monai_ceph("report", results, "--films", films, "--out", folder / "report", *chosen)
        first, second = (results / "json" / f"{number}.dcm.json" for number in ("001", "004"))
        monai_ceph("compare", first, second, "--out", folder / "comparison")
        pages = {"report": folder / "report" / "001.dcm.html", "comparison": folder / "comparison" / "comparison.html"}
        for name, size in WINDOWS.items():
            photograph(pages[name], size, folder / f"{name}.png")
        for name, width in WIDTHS.items():
            drawn = Image.open(results / f"{name}s" / "001.dcm.png")
            height = round(drawn.height * width / drawn.width)
            drawn.resize((width, height), Image.Resampling.LANCZOS).save(folder / f"{name}.png")
        for name in (*WINDOWS, *WIDTHS):
            save_small(Image.open(folder / f"{name}.png").convert("RGB"), IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
