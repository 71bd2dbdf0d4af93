"""The picture of a film with its landmarks: pixels of the PNG, and places of text in the same drawing as SVG."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from label_faults import label_faults
from PIL import Image
from samples import changed, radiograph
from svg_texts import texts_of

from monai_ceph import weights
from monai_ceph.datasets import isbi2015
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.readers import Radiograph
from monai_ceph.reports.notes import absent_lines, points_by_symbol
from monai_ceph.reports.overlay import draw_overlay, save_overlay
from monai_ceph.reports.tracing import tracing_svg
from monai_ceph.result import Detection

REAL = Path(os.environ.get("ISBI2015_DIR") or "/nonexistent")
GREEN, ORANGE, RED = (80, 220, 100), (255, 170, 30), (255, 100, 100)
LAYERS = ("points", "labels")
# half the length of a cross, in a picture whose longest side is 1400 pixels
ARM = 8.0


def black(rows: int, columns: int) -> Radiograph:
    pixels = np.zeros((rows, columns), dtype=np.float32)
    pixels[0, 0] = 1
    return Radiograph(pixels, Path("film.png"))


def coloured(picture: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Return how much each pixel has of a colour, 0 to 1; 1 is all of it."""
    pixels, goal = np.asarray(picture).astype(float), np.array(colour, dtype=float)
    return np.clip(1 - np.abs(pixels - goal).max(axis=-1) / goal.max(), 0, 1)


def alone(detection: Detection, index: int = 0, **values: object) -> Detection:
    """Return the detection with one landmark only."""
    detection = changed(detection, index, **values)
    return detection.model_copy(update={"landmarks": detection.landmarks[index : index + 1]})


def middle_of_cross(picture: Image.Image, place: tuple[float, float], arm: float) -> tuple[float, float]:
    """Return the middle (x, y) of what is green on the row and the column of a cross, left of it and below it."""
    green = coloured(picture, GREEN)
    x, y = (round(at) for at in place)
    reach = round(arm)
    along = green[y - reach - 3 : y + reach + 4, x - reach // 2 - 1]
    down = green[y + reach // 2 + 1, x - reach - 3 : x + reach + 4]
    rows, columns = np.arange(y - reach - 3, y + reach + 4), np.arange(x - reach - 3, x + reach + 4)
    return float((down * columns).sum() / down.sum()), float((along * rows).sum() / along.sum())


class TestPicture:
    @pytest.mark.parametrize(
        ("rows", "columns"), [(2800, 2100), (1000, 4200), (1401, 900), (1200, 900), (400, 300), (2400, 1935)]
    )
    def test_the_cross_lies_on_the_landmark(self, detection: Detection, rows: int, columns: int) -> None:
        x, y = 0.73 * columns, 0.41 * rows
        film = alone(detection, x=x, y=y).model_copy(update={"rows": rows, "columns": columns})
        picture = draw_overlay(black(rows, columns), film)
        scale = min(max(1.0, 1000 / max(rows, columns)), 1400 / max(rows, columns))
        assert picture.width == round(scale * columns)
        assert picture.height > round(scale * rows)
        place = ((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5)
        arm = ARM * max(rows, columns) * scale / 1400
        assert middle_of_cross(picture, place, arm) == pytest.approx(place, abs=0.6)
        # in its whole length, and no longer: the symbol is right of it and above
        row, column = round(place[1]), round(place[0])
        green = coloured(picture, GREEN)
        left = column - np.flatnonzero(green[row, :column] > 0.5).min()
        below = np.flatnonzero(green[row : row + 30, column] > 0.5).max()
        assert (left, below) == pytest.approx((arm, arm), abs=1.1)

    def test_the_film_and_its_landmark_are_scaled_alike(self, detection: Detection) -> None:
        # a bright square around the landmark is still around it in the picture
        pixels = np.zeros((2800, 2100), dtype=np.float32)
        pixels[1960:2041, 1460:1541] = 1000
        film = alone(detection, x=1500.0, y=2000.0).model_copy(update={"rows": 2800, "columns": 2100})
        picture = draw_overlay(Radiograph(pixels, Path("film.png")), film)
        white = np.argwhere((np.asarray(picture)[900:1100, 640:760] > 250).all(axis=-1)) + np.array([900, 640])
        assert white.min(axis=0) == pytest.approx([980, 730], abs=1)
        assert middle_of_cross(picture, (750, 1000), ARM) == pytest.approx((750, 1000), abs=0.6)

    def test_the_film_is_shown_whole_and_nothing_is_drawn_on_it_but_landmarks(self, detection: Detection) -> None:
        """Text that is burned into a corner stays legible: the legend is below the film."""
        bare = detection.model_copy(update={"landmarks": (), "rows": 1200, "columns": 900})
        pixels = np.random.default_rng(0).random((1200, 900), dtype=np.float32)
        pixels[:40], pixels[-40:] = 0, 1
        picture = np.asarray(draw_overlay(Radiograph(pixels, Path("film.png")), bare))
        assert (picture[:40] == 0).all()
        assert (picture[1160:1200] == 255).all()
        assert (picture[1200:] == 0).any()

    def test_a_film_in_a_part_of_the_range_is_shown_as_one_in_all_of_it(self, detection: Detection) -> None:
        pixels = np.tile(np.linspace(0, 400, 300, dtype=np.float32), (400, 1))
        marked = pixels.copy()
        marked[300:, 250:] = 4095
        bare = detection.model_copy(update={"landmarks": ()})
        # a film of 400 rows is enlarged to 1000
        plain, shown = (
            np.asarray(draw_overlay(Radiograph(film, Path("film.png")), bare)).astype(int)[250:700]
            for film in (pixels, marked)
        )
        # 5 % of the range are left for what was cut off
        assert np.abs(shown - plain).max() <= 13
        assert shown.max() >= 240

    @pytest.mark.parametrize("low", [-1000.0, 0.0, 60000.0])
    def test_any_range_of_values_is_shown_whole(self, detection: Detection, low: float) -> None:
        ramp = np.linspace(low, low + 4000, 300, dtype=np.float32)
        bare = detection.model_copy(update={"landmarks": ()})
        picture = draw_overlay(Radiograph(np.tile(ramp, (400, 1)), Path("film.png")), bare)
        assert picture.getpixel((0, 750))[0] < 5
        assert picture.getpixel((749, 100))[0] > 250

    def test_saved_whole_or_not_at_all(self, detection: Detection, tmp_path: Path) -> None:
        save_overlay(tmp_path / "overlays" / "film.png", radiograph(400, 300), detection)
        with Image.open(tmp_path / "overlays" / "film.png") as picture:
            assert picture.format == "PNG"
            assert picture.mode == "RGB"
            assert picture.width == 750
        assert [path.name for path in (tmp_path / "overlays").iterdir()] == ["film.png"]


class TestLandmarks:
    def test_uncertain_is_orange(self, detection: Detection) -> None:
        sure, unsure = (
            np.asarray(draw_overlay(black(400, 300), alone(detection, status=status)))[:900]
            for status in ("ok", "uncertain")
        )
        assert (sure == GREEN).all(axis=-1).any()
        assert (unsure == ORANGE).all(axis=-1).any()
        assert not (sure == ORANGE).all(axis=-1).any()
        assert not (unsure == GREEN).all(axis=-1).any()

    def test_missing_landmarks_are_named_below_the_film(self, detection: Detection) -> None:
        gone = {"x": None, "y": None, "status": "missing"}
        some = changed(changed(detection, 3, **gone), 18, **gone)
        assert absent_lines(detection) == []
        assert absent_lines(some) == ["missing: Po, Ar"]
        for film, said in ((detection, False), (some, True)):
            picture = np.asarray(draw_overlay(black(400, 300), film))
            assert (picture[1000:] == RED).all(axis=-1).any() == said

    def test_nothing_found_at_all(self, detection: Detection) -> None:
        for index in range(NUM_LANDMARKS):
            detection = changed(detection, index, x=None, y=None, status="missing")
        picture = np.asarray(draw_overlay(black(400, 300), detection))
        assert absent_lines(detection) == [f"missing: {', '.join(SYMBOLS)}"]
        assert not (picture == GREEN).all(axis=-1).any()

    def test_a_landmark_outside_the_film_is_named(self, detection: Detection) -> None:
        film = changed(changed(detection, 0, x=-50.0, y=900.0), 7, x=299.6)
        assert absent_lines(film) == ["outside: S, Me"]
        shown = texts_of(tracing_svg(points_by_symbol(film), (300, 400), layers=LAYERS))
        assert shown.keys() == set(SYMBOLS) - {"S", "Me"}

    @pytest.mark.parametrize(("rows", "columns"), [(2400, 1935), (400, 300), (160, 140)])
    def test_every_symbol_is_nearest_to_its_own_landmark(self, rows: int, columns: int) -> None:
        shape = np.array(weights.model()["mean_shape"])
        points = (shape[:, ::-1] + 1.6) * (0.38 * columns, 0.35 * rows)
        assert faults(points, (columns, rows)) == []

    @pytest.mark.skipif(not REAL.is_dir(), reason="ISBI2015_DIR does not name the folder of the challenge's films")
    @pytest.mark.parametrize("split", ["train", "test1", "test2"])
    def test_every_symbol_is_nearest_to_its_own_landmark_on_the_annotated_films(self, split: str) -> None:
        wrong = {}
        for film in isbi2015(REAL, split):
            if found := faults(film.landmarks[:, ::-1], (1935, 2400)):
                wrong[film.name] = found
        assert wrong == {}


def faults(points: np.ndarray, size: tuple[int, int]) -> list[str]:
    places = dict(zip(SYMBOLS, map(tuple, points.tolist()), strict=True))
    boxes = texts_of(tracing_svg(places, size, layers=LAYERS))
    # the corner of the first pixel is (0, 0) there
    return label_faults(points + 0.5, [boxes[symbol] + 0.5 for symbol in SYMBOLS], size, ARM * max(size) / 1400)
