from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from samples import changed, radiograph

from monai_ceph import weights
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.readers import Radiograph, SpacingSource
from monai_ceph.reports import overlay
from monai_ceph.reports.overlay import draw_overlay, save_overlay
from monai_ceph.reports.tables import LANDMARK_COLUMNS, landmark_rows, write_landmarks, write_table
from monai_ceph.result import Detection
from monai_ceph.storage.atomic import folder_written_beside, written_beside

GREEN, ORANGE = (80, 220, 100), (255, 170, 30)
Drawn = tuple[str, tuple[float, float, float, float]]


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


class TestWrittenBeside:
    def test_the_file_appears_at_the_end(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "folder" / "file.txt"
        with written_beside(target) as part:
            part.write_text("new")
            assert not target.exists()
            assert part.parent == target.parent
            assert part.name.startswith(".")
        assert target.read_text() == "new"
        assert not left_over(target.parent)

    def test_an_error_leaves_the_old_file(self, tmp_path: Path) -> None:
        target = tmp_path / "file.txt"
        target.write_text("old")

        def fail() -> None:
            with written_beside(target) as part:
                part.write_text("half")
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert target.read_text() == "old"
        assert not left_over(tmp_path)

    def test_a_folder_appears_at_the_end_or_not_at_all(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "folder"

        def write(error: type[Exception] | None = None) -> None:
            with folder_written_beside(target) as part:
                (part / "file.txt").write_text("new")
                assert not target.exists()
                if error:
                    raise error

        with pytest.raises(KeyError):
            write(KeyError)
        assert list((tmp_path / "new").iterdir()) == []
        write()
        assert [path.name for path in (tmp_path / "new").rglob("*")] == ["folder", "file.txt"]

    def test_nothing_written_is_an_error(self, tmp_path: Path) -> None:
        target = tmp_path / "file.txt"
        with pytest.raises(FileNotFoundError), written_beside(target):
            pass
        assert not target.exists()

    def test_a_file_in_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("a file")
        with pytest.raises(OSError, match="out"), written_beside(tmp_path / "out" / "file.txt"):
            pytest.fail("there is no folder to write to")
        assert (tmp_path / "out").read_text() == "a file"


class TestTables:
    def test_one_row_per_landmark(self, detection: Detection) -> None:
        rows = list(landmark_rows(changed(detection, 1, x=1.005, y=-2.5, score=0.1235, status="uncertain")))
        assert len(rows) == NUM_LANDMARKS
        assert {len(row) for row in rows} == {len(LANDMARK_COLUMNS)}
        assert rows[0] == ["film.png", "Sella", "S", "20.00", "50.00", "0.900", "ok", "", "", "none", "", ""]
        assert rows[1][2:7] == ["N", "1.00", "-2.50", "0.123", "uncertain"]

    def test_millimetres_and_where_they_come_from(self, detection: Detection) -> None:
        calibrated = detection.model_copy(update={"spacing_source": SpacingSource.PIXEL_SPACING_CALIBRATED})
        rows = list(landmark_rows(changed(calibrated, 0, x_mm=0.12345, y_mm=-7.0)))
        assert rows[0][7:] == ["0.123", "-7.000", "pixel_spacing_calibrated", "", ""]

    @pytest.mark.parametrize(
        ("spacing", "text"), [((0.125, 0.125), "0.125"), ((0.1, 0.10001), "0.1"), ((0.1, 0.2), ""), (None, "")]
    )
    def test_one_spacing_of_square_pixels(
        self, detection: Detection, spacing: tuple[float, float] | None, text: str
    ) -> None:
        rows = landmark_rows(detection.model_copy(update={"pixel_spacing": spacing}))
        assert {row[-2] for row in rows} == {text}

    def test_the_uid_of_the_image(self, detection: Detection) -> None:
        rows = landmark_rows(detection.model_copy(update={"image_uid": "1.2.3"}))
        assert {row[-1] for row in rows} == {"1.2.3"}

    def test_a_missing_landmark_has_empty_places(self, detection: Detection) -> None:
        rows = list(landmark_rows(changed(detection, 4, x=None, y=None, score=0.0, status="missing")))
        assert rows[4] == ["film.png", "Subspinale (A point)", "A", "", "", "0.000", "missing", "", "", "none", "", ""]

    def test_names_that_csv_must_quote(self, tmp_path: Path, detection: Detection) -> None:
        name = 'Müller, "Anna"\nfilm.png'
        write_table(tmp_path / "t.csv", LANDMARK_COLUMNS, landmark_rows(detection.model_copy(update={"file": name})))
        assert {row[0] for row in rows_of(tmp_path / "t.csv")[1:]} == {name}

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        write_table(tmp_path / "t.csv", ["file"], [["M\udcfcller.png"]])
        assert rows_of(tmp_path / "t.csv")[1] == ["M\\udcfcller.png"]

    def test_an_empty_table_has_its_header(self, tmp_path: Path) -> None:
        write_table(tmp_path / "t.csv", ["a", "b"], [])
        assert (tmp_path / "t.csv").read_bytes() == b"a,b\n"

    def test_the_table_of_one_film(self, tmp_path: Path, detection: Detection) -> None:
        detection = changed(detection, 4, x=None, y=None, score=0.0, status="missing")
        write_landmarks(
            *(tmp_path / "t.csv", detection.file, detection.landmarks),
            *(detection.pixel_spacing, detection.spacing_source),
        )
        header, *rows = rows_of(tmp_path / "t.csv")
        assert tuple(header) == LANDMARK_COLUMNS
        assert rows == list(landmark_rows(detection))


def black(rows: int, columns: int) -> Radiograph:
    pixels = np.zeros((rows, columns), dtype=np.float32)
    pixels[0, 0] = 1
    return Radiograph(pixels, Path("film.png"))


def enlarged(x: float, y: float) -> tuple[int, int]:
    """Return where a place of a film of 300 x 400 pixels is in its picture of 750 x 1000."""
    return round((x + 0.5) * 2.5 - 0.5), round((y + 0.5) * 2.5 - 0.5)


def on_large_film(detection: Detection) -> Detection:
    """Return the detection on a film of 900 x 1200 pixels, which is drawn as it is."""
    marks = [
        mark.model_copy(update={"x": 3 * mark.x, "y": 3 * mark.y})
        for mark in detection.landmarks
        if mark.x is not None and mark.y is not None
    ]
    return detection.model_copy(update={"landmarks": tuple(marks), "rows": 1200, "columns": 900})


class TestOverlay:
    def test_the_cross_lies_on_the_landmark(self, detection: Detection) -> None:
        detection = on_large_film(detection)
        picture = draw_overlay(black(1200, 900), detection)
        assert picture.size == (900, 1200)
        assert picture.mode == "RGB"
        for mark in detection.landmarks:
            assert mark.x is not None
            assert mark.y is not None
            x, y = round(mark.x), round(mark.y)
            for place in ((x, y), (x - 5, y), (x + 5, y), (x, y - 5), (x, y + 5)):
                assert picture.getpixel(place) == GREEN

    def test_the_arms_are_balanced(self, detection: Detection) -> None:
        alone = on_large_film(detection.model_copy(update={"landmarks": detection.landmarks[:1]}))
        colours = np.asarray(draw_overlay(black(1200, 900), alone))
        # the symbol stands right of and above the cross: left of it and below it there is only the cross
        rows = np.flatnonzero((colours[150:400, 60] == GREEN).all(axis=-1))
        columns = np.flatnonzero((colours[150, :61] == GREEN).all(axis=-1))
        assert rows.max() == pytest.approx(60 - columns.min(), abs=1)

    @pytest.mark.parametrize(("rows", "columns"), [(2800, 2100), (1000, 4200), (1401, 900)])
    def test_downscaled_to_the_size_limit(self, detection: Detection, rows: int, columns: int) -> None:
        x, y = 0.73 * columns, 0.41 * rows
        alone = changed(detection, 0, x=x, y=y)
        alone = alone.model_copy(update={"landmarks": alone.landmarks[:1], "rows": rows, "columns": columns})
        picture = draw_overlay(black(rows, columns), alone)
        assert max(picture.size) == 1400
        scale = 1400 / max(rows, columns)
        assert picture.size == (round(columns * scale), round(rows * scale))
        place = (round((x + 0.5) * scale - 0.5), round((y + 0.5) * scale - 0.5))
        assert picture.getpixel(place) == GREEN
        assert picture.getpixel((place[0] - 4, place[1])) == GREEN

    def test_the_film_and_its_landmark_are_scaled_alike(self, detection: Detection) -> None:
        # a bright square around the landmark is still around it in the picture
        pixels = np.zeros((2800, 2100), dtype=np.float32)
        pixels[1960:2041, 1460:1541] = 1000
        alone = changed(detection, 0, x=1500.0, y=2000.0)
        alone = alone.model_copy(update={"landmarks": alone.landmarks[:1], "rows": 2800, "columns": 2100})
        picture = np.asarray(draw_overlay(Radiograph(pixels, Path("film.png")), alone)).astype(int)
        white = np.argwhere((picture[900:1100, 640:760] > 250).all(axis=-1)) + np.array([900, 640])
        assert white.min(axis=0) == pytest.approx([980, 730], abs=1)
        cross = np.argwhere((picture[960:1041, 730:750] == GREEN).all(axis=-1)) + np.array([960, 730])
        assert np.median(cross, axis=0)[0] == pytest.approx(1000, abs=1)

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

    def test_small_films_are_enlarged(self, detection: Detection) -> None:
        picture = draw_overlay(black(400, 300), detection)
        assert picture.size == (750, 1000)
        for mark in detection.landmarks:
            assert picture.getpixel(enlarged(mark.x or 0, mark.y or 0)) == GREEN

    def test_a_landmark_outside_the_film_is_named(self, detection: Detection, drawn: list[Drawn]) -> None:
        draw_overlay(black(400, 300), changed(changed(detection, 0, x=-50.0, y=900.0), 7, x=299.6))
        texts = [text for text, _ in drawn]
        assert "outside: S, Me" in texts
        assert {"S", "Me"}.isdisjoint(texts)

    def test_uncertain_is_orange(self, detection: Detection) -> None:
        picture = draw_overlay(black(400, 300), changed(detection, 18, status="uncertain"))
        assert picture.getpixel(enlarged(200, 230)) == ORANGE
        assert picture.getpixel(enlarged(190, 220)) == GREEN

    @pytest.fixture
    def drawn(self, monkeypatch: pytest.MonkeyPatch) -> list[Drawn]:
        """Takes the texts of a picture as they are drawn, and the box (left, top, right, bottom) of each."""
        texts: list[Drawn] = []
        write = ImageDraw.ImageDraw.text

        def spy(
            self: ImageDraw.ImageDraw, place: Any, text: str, *, font: Any, anchor: Any = None, **more: Any
        ) -> None:
            texts.append((text, self.textbbox(place, text, font, anchor, stroke_width=more["stroke_width"])))
            write(self, place, text, font=font, anchor=anchor, **more)

        monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
        return texts

    def test_missing_landmarks_are_named(self, detection: Detection, drawn: list[Drawn]) -> None:
        whole = draw_overlay(black(400, 300), detection)
        texts = [text for text, _ in drawn]
        assert not any("missing" in text for text in texts)
        assert {overlay.NOTICE, f"scale: {detection.spacing_source.label}"} <= set(texts)
        drawn.clear()
        gone = {"x": None, "y": None, "status": "missing"}
        picture = draw_overlay(black(400, 300), changed(changed(detection, 3, **gone), 18, **gone))
        texts = [text for text, _ in drawn]
        assert "missing: Po, Ar" in texts
        assert "Po" not in texts
        assert whole.getpixel(enlarged(200, 230)) == GREEN
        assert picture.getpixel(enlarged(200, 230)) == (0, 0, 0)

    def test_nothing_found_at_all(self, detection: Detection, drawn: list[Drawn]) -> None:
        for index in range(NUM_LANDMARKS):
            detection = changed(detection, index, x=None, y=None, status="missing")
        picture = np.asarray(draw_overlay(black(400, 300), detection))
        assert f"missing: {', '.join(SYMBOLS)}" in [text for text, _ in drawn]
        assert not (picture == GREEN).all(axis=-1).any()

    @pytest.mark.parametrize(("rows", "columns"), [(2400, 1935), (400, 300), (160, 140)])
    def test_every_symbol_is_nearest_to_its_own_landmark(
        self, detection: Detection, drawn: list[Drawn], rows: int, columns: int
    ) -> None:
        shape = np.array(weights.model()["mean_shape"])
        marks = [
            mark.model_copy(update={"x": (x + 1.6) * 0.38 * columns, "y": (y + 1.6) * 0.35 * rows})
            for mark, (y, x) in zip(detection.landmarks, shape, strict=True)
        ]
        detection = detection.model_copy(update={"landmarks": tuple(marks), "rows": rows, "columns": columns})
        picture = draw_overlay(black(rows, columns), detection)
        scale = picture.height / rows
        places = np.array([((mark.x + 0.5) * scale - 0.5, (mark.y + 0.5) * scale - 0.5) for mark in marks])
        boxes = {text: np.array(box) for text, box in drawn}
        for index, symbol in enumerate(SYMBOLS):
            middle = (boxes[symbol][:2] + boxes[symbol][2:]) / 2
            assert np.linalg.norm(places - middle, axis=1).argmin() == index
            gaps = np.abs(places - np.clip(places, boxes[symbol][:2], boxes[symbol][2:])).max(axis=1)
            # the arms of a cross
            assert gaps.min() >= 8 * max(picture.size) / 1400 - 1
            assert (boxes[symbol] >= 0).all()
            assert (boxes[symbol][2:] <= picture.size).all()
        for one, other in combinations(boxes.values(), 2):
            assert (np.minimum(one[2:], other[2:]) <= np.maximum(one[:2], other[:2])).any()

    def test_the_line_of_a_symbol_that_is_far_away(self, detection: Detection, drawn: list[Drawn]) -> None:
        # nineteen landmarks in so small a place that most symbols must leave it
        for index in range(NUM_LANDMARKS):
            detection = changed(detection, index, x=150.0 + 3 * (index % 5), y=200.0 + 3 * (index // 5))
        picture = np.asarray(draw_overlay(black(400, 300), detection))
        boxes = [box for text, box in drawn if text in SYMBOLS]
        assert len(boxes) == NUM_LANDMARKS
        for one, other in combinations(boxes, 2):
            assert min(one[2], other[2]) <= max(one[0], other[0]) or min(one[3], other[3]) <= max(one[1], other[1])
        for left, top, right, bottom in boxes:
            picture = picture.copy()
            picture[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = 0
        _, columns = np.nonzero((picture == GREEN).all(axis=-1))
        # green beyond the crosses, which end 6 pixels from the outermost landmarks
        assert columns.max() > enlarged(162, 0)[0] + 8
        assert columns.min() < enlarged(150, 0)[0] - 8

    @pytest.mark.parametrize("low", [-1000.0, 0.0, 60000.0])
    def test_any_range_of_values_is_shown_whole(self, detection: Detection, low: float) -> None:
        ramp = np.linspace(low, low + 4000, 300, dtype=np.float32)
        picture = draw_overlay(Radiograph(np.tile(ramp, (400, 1)), Path("film.png")), detection)
        assert picture.getpixel((0, 750))[0] < 5
        assert picture.getpixel((749, 100))[0] > 250

    def test_saved_whole_or_not_at_all(self, detection: Detection, tmp_path: Path) -> None:
        save_overlay(tmp_path / "overlays" / "film.png", radiograph(200, 150), detection)
        with Image.open(tmp_path / "overlays" / "film.png") as picture:
            assert picture.format == "PNG"
            assert picture.size == (750, 1000)
        assert not left_over(tmp_path / "overlays")
