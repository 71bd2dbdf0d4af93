"""Tracings: what their layers hold, that SVG and PNG agree, and that planes and outlines follow the head."""

from __future__ import annotations

import os
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_faults import label_faults, overlap
from PIL import Image, ImageColor
from svg_texts import SVG, texts_of

from monai_ceph import weights
from monai_ceph.datasets import isbi2015
from monai_ceph.landmarks import NUM_LANDMARKS, SYMBOLS
from monai_ceph.reports.tracing import LAYERS, NOT_ANATOMY, tracing_png, tracing_svg
from monai_ceph.reports.tracing_lines import OUTLINES, PLANES, outline_points, part_on_film, plane_ends

REAL = Path(os.environ.get("ISBI2015_DIR") or "/nonexistent")
SIZE = (1935, 2400)
MEAN = np.array(weights.model()["mean_shape"])[:, ::-1] * 430 + np.array([1100.0, 1450.0])
HEAD = dict(zip(SYMBOLS, map(tuple, MEAN.tolist()), strict=True))
# places of the landmarks that only a person gives, on the mean head
BY_HAND = {
    **{"U6": (1330.0, 1700.0), "L6": (1330.0, 1720.0), "U1A": (1450.0, 1560.0), "L1A": (1400.0, 1900.0)},
    **{"Prn": (1800.0, 1480.0), "Cm": (1720.0, 1530.0), "N'": (1600.0, 980.0)},
}
PLANES_OF_19 = ("sn", "fh", "palatal", "mandibular", "n-a", "n-b", "facial")
SYMBOL_GROUP = "layer-labels"


def groups(svg: str) -> dict[str, list[str]]:
    """Return the names of the layers in an SVG, each with those inside."""
    found = ElementTree.fromstring(svg).iter(f"{SVG}g")
    return {name(group): [name(inner) for inner in group.findall(f"{SVG}g")] for group in found}


def name(group: ElementTree.Element) -> str:
    return group.get("id", "").removeprefix("layer-")


def lines(svg: str, layer: str) -> list[tuple[np.ndarray, str]]:
    """Return the lines of a layer that are not halos, each as (N, 2) places and its colour."""
    (group,) = (each for each in ElementTree.fromstring(svg).iter(f"{SVG}g") if name(each) == layer)
    found = [
        (np.array([point.split(",") for point in line.get("points", "").split()], dtype=float), line.get("stroke", ""))
        for line in group.findall(f"{SVG}polyline")
    ]
    return found[len(found) // 2 :]


class TestLayers:
    def test_every_plane_is_a_layer_of_its_own(self) -> None:
        assert groups(tracing_svg(HEAD, SIZE)) == {
            **{"outlines": [], "planes": list(PLANES_OF_19)},
            **{name: [] for name in (*PLANES_OF_19, "points", "labels", "legend")},
        }

    def test_planes_of_landmarks_that_a_person_placed(self) -> None:
        shown = groups(tracing_svg({**HEAD, **BY_HAND}, SIZE))
        assert shown["planes"] == [*PLANES_OF_19, "occlusal", "upper-incisor", "lower-incisor", "e-line"]

    def test_all_layers_in_their_order(self) -> None:
        film = BytesIO()
        Image.new("L", (20, 24)).save(film, "PNG")
        everything = tracing_svg({**HEAD, **BY_HAND}, SIZE, film_png=film.getvalue(), uncertainty={"S": 3.0})
        assert list(groups(everything)) == list(LAYERS)

    @pytest.mark.parametrize("chosen", [("points",), ("sn", "labels"), ("planes",), ("outlines", "legend"), ()])
    def test_only_the_chosen_layers(self, chosen: tuple[str, ...]) -> None:
        expected = {*chosen, *(PLANES_OF_19 if "planes" in chosen else ()), *(["planes"] if "sn" in chosen else [])}
        assert set(groups(tracing_svg(HEAD, SIZE, layers=chosen))) == expected

    def test_without_the_legend_the_drawing_is_as_large_as_the_film(self) -> None:
        root = ElementTree.fromstring(tracing_svg(HEAD, SIZE, layers=["points"], notes=["said nowhere"]))
        assert root.get("viewBox") == "-0.5 -0.5 1935 2400"
        png = tracing_png(HEAD, SIZE, layers=["points"])
        assert Image.open(BytesIO(png)).size == (1129, 1400)

    def test_unknown_layers_and_sizes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="no such layer: plane; there are film, uncertainty"):
            tracing_svg(HEAD, SIZE, layers=["plane"])
        with pytest.raises(ValueError, match="at least one column"):
            tracing_png(HEAD, (0, 10))

    def test_ids_with_a_prefix(self) -> None:
        ids = {group.get("id") for group in ElementTree.fromstring(tracing_svg(HEAD, SIZE, id_prefix="a-")).iter()}
        assert "a-layer-points" in ids
        assert not {each for each in ids if each and not each.startswith("a-")}


class TestContents:
    def test_the_svg_needs_nothing_else(self) -> None:
        film = BytesIO()
        Image.new("L", (20, 24), 7).save(film, "PNG")
        svg = tracing_svg(HEAD, SIZE, film_png=film.getvalue(), notes=["a <b> & 'c'"])
        root = ElementTree.fromstring(svg)
        (image,) = root.iter(f"{SVG}image")
        kind, data = image.get("href", "").split(",")
        assert (kind, b64decode(data)) == ("data:image/png;base64", film.getvalue())
        assert [image.get(name) for name in ("x", "y", "width", "height")] == ["-0.5", "-0.5", "1935", "2400"]
        assert not list(root.iter(f"{SVG}script")) + list(root.iter(f"{SVG}style"))
        assert "a <b> & 'c'" in texts_of(svg, "layer-legend")

    def test_what_is_unknown_or_off_the_film_has_no_mark(self) -> None:
        points = {**HEAD, "S": (float("nan"), 3.0), "Me": (100.0, 2400.0), "Go": (1934.5, 2399.5)}
        svg = tracing_svg(points, SIZE)
        assert texts_of(svg, SYMBOL_GROUP).keys() == set(SYMBOLS) - {"S", "Me"}
        assert len(lines(svg, "points")) == 2 * (NUM_LANDMARKS - 2)
        # a plane through a landmark off the film is still the right line
        assert "mandibular" in groups(svg)
        assert "sn" not in groups(svg)

    def test_no_landmark_at_all(self) -> None:
        assert set(groups(tracing_svg({}, SIZE, notes=["nothing"]))) == {"legend"}
        assert Image.open(BytesIO(tracing_png({}, SIZE))).width == 1129

    def test_landmarks_that_coincide(self) -> None:
        svg = tracing_svg(dict.fromkeys(SYMBOLS[:6], (600.0, 700.0)), SIZE)
        assert {*groups(svg)} == {"points", "labels", "legend"}

    def test_uncertainty_is_a_circle_of_its_radius(self) -> None:
        svg = tracing_svg(HEAD, SIZE, uncertainty={"S": 31.5, "N": 0.0, "Sn": 12.25}, uncertain={"Sn"})
        circles = [each for each in ElementTree.fromstring(svg).iter(f"{SVG}circle") if each.get("stroke") != "#ffffff"]
        # the last one is that of the legend
        found = [[float(each.get(name, "")) for name in ("cx", "cy", "r")] for each in circles[:-1]]
        assert np.array(found) == pytest.approx(np.array([[*HEAD["S"], 31.5], [*HEAD["Sn"], 12.25]]), abs=0.006)
        assert circles[0].get("stroke") != circles[1].get("stroke")

    def test_the_legend_names_what_is_drawn(self) -> None:
        said = texts_of(tracing_svg(HEAD, SIZE, uncertain={"Go"}, alerts=["missing: X"]), "layer-legend")
        assert {"landmark", "uncertain landmark", "SN: S-N", NOT_ANATOMY, "missing: X"} <= said.keys()
        assert "uncertainty" not in said
        alone = texts_of(tracing_svg(HEAD, SIZE, layers=["points", "legend"]), "layer-legend")
        assert alone.keys() == {"landmark"}

    @pytest.mark.parametrize("size", [(1935, 2400), (140, 160), (300, 1200), (4000, 900)])
    def test_the_legend_lies_below_the_film_and_inside_the_picture(self, size: tuple[int, int]) -> None:
        points = {symbol: (x * size[0] / 1935, y * size[1] / 2400) for symbol, (x, y) in HEAD.items()}
        svg = tracing_svg(points, size, notes=["Research use, not a medical device. " * 3])
        height = float(ElementTree.fromstring(svg).get("height", ""))
        boxes = np.array(list(texts_of(svg, "layer-legend").values()))
        assert boxes[:, 1].min() > size[1] - 0.5
        assert boxes[:, 3].max() < height - 0.5
        assert boxes[:, 0].min() > -0.5
        assert boxes[:, 2].max() < size[0] - 0.5
        for index, box in enumerate(boxes):
            assert not any(overlap(box, other) for other in boxes[:index])

    def test_the_png_shows_the_same_lines(self) -> None:
        points = {**HEAD, **BY_HAND}
        svg = tracing_svg(points, SIZE, layers=["planes"])
        pixels = np.asarray(Image.open(BytesIO(tracing_png(points, SIZE, layers=["planes"])))).astype(int)
        scale = 1400 / 2400
        for plane in groups(svg)["planes"]:
            ((ends, colour),) = lines(svg, plane)
            # at many places of the line, most of which no other line or name covers
            places = (np.linspace(ends[0], ends[1], 41) + 0.5) * scale - 0.5
            found = pixels[places[:, 1].round().astype(int), places[:, 0].round().astype(int)]
            near = np.abs(found - ImageColor.getrgb(colour)).max(axis=-1) < 60
            assert near.mean() > 0.6, plane


TURNED = st.tuples(st.floats(0, 2 * np.pi), st.booleans(), st.floats(0.3, 2))


class TestGeometry:
    @given(TURNED)
    @settings(max_examples=25, derandomize=True)
    def test_lines_follow_the_head_however_it_lies(self, how: tuple[float, bool, float]) -> None:
        angle, mirrored, scale = how
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
        points = {**HEAD, **BY_HAND}
        moved = {symbol: tuple(matrix @ place + 7) for symbol, place in points.items()}
        for plane in PLANES:
            before, after = plane_ends(plane, points), plane_ends(plane, moved)
            assert np.array(after) == pytest.approx(np.array(before) @ matrix.T + 7)
        for outline in OUTLINES:
            for before, after in zip(outline_points(outline, points), outline_points(outline, moved), strict=True):
                assert np.array(after) == pytest.approx(np.array(before) @ matrix.T + 7)

    @pytest.mark.parametrize("outline", OUTLINES, ids=lambda outline: outline.name)
    def test_outlines_go_through_their_landmarks_in_order(self, outline: object) -> None:
        points = {**HEAD, **BY_HAND}
        (line,) = outline_points(outline, points)
        steps = [np.linalg.norm(np.array(line) - points[symbol], axis=1).argmin() for symbol in outline.symbols]
        assert steps == sorted(steps)
        assert [line[step] for step in steps] == [pytest.approx(points[symbol]) for symbol in outline.symbols]
        if not outline.curved:
            assert len(line) == len(outline.symbols)

    def test_an_outline_is_interrupted_where_a_landmark_is_not_known(self) -> None:
        soft = next(outline for outline in OUTLINES if outline.name == "soft-tissue")
        assert [part[0] for part in outline_points(soft, HEAD)] == [HEAD["Sn"]]
        without = {symbol: place for symbol, place in HEAD.items() if symbol != "UL"}
        (part,) = outline_points(soft, without)
        assert (part[0], part[-1]) == (HEAD["LL"], pytest.approx(HEAD["Pog'"]))
        assert outline_points(soft, {"Sn": (1.0, 2.0)}) == []

    def test_the_occlusal_plane_goes_through_the_middles_of_teeth(self) -> None:
        points = {"U6": (0.0, 10.0), "L6": (0.0, 14.0), "UI": (100.0, 20.0), "LI": (100.0, 28.0)}
        occlusal = next(plane for plane in PLANES if plane.name == "occlusal")
        assert plane_ends(occlusal, points) == (pytest.approx((-30.0, 8.4)), pytest.approx((130.0, 27.6)))
        assert plane_ends(occlusal, {**points, "L6": (100.0, 38.0), "U6": (100.0, 10.0)}) is None

    @given(st.tuples(*[st.floats(-50, 150)] * 4))
    @settings(max_examples=100)
    def test_the_part_of_a_line_that_is_on_the_film(self, ends: tuple[float, float, float, float]) -> None:
        start, end = np.array(ends[:2]), np.array(ends[2:])
        on_it = np.linspace(start, end, 400)
        inside = on_it[((on_it >= -0.5) & (on_it <= (79.5, 99.5))).all(axis=1)]
        part = part_on_film((tuple(start), tuple(end)), (80, 100))
        if part is None:
            # as much as a corner may be touched
            assert len(inside) < 2 or (start == end).all()
        else:
            step = np.linalg.norm(end - start) / 399
            assert (np.array(part) >= -0.5 - 1e-9).all()
            assert (np.array(part) <= np.array([79.5, 99.5]) + 1e-9).all()
            if len(inside):
                assert np.linalg.norm(np.array(part) - inside[[0, -1]], axis=1).max() <= step + 1e-9


class TestText:
    @given(
        st.lists(st.tuples(*[st.floats(-12, 12)] * 2), min_size=NUM_LANDMARKS, max_size=NUM_LANDMARKS),
        st.sampled_from([0, 90, 180, 270]),
        st.booleans(),
    )
    @settings(max_examples=12, derandomize=True)
    def test_symbols_and_names_stay_apart(self, offsets: list[tuple[float, float]], turn: int, mirrored: bool) -> None:
        """On heads of many shapes, which lie and face any way."""
        points = MEAN + np.array(offsets)
        size = SIZE
        if mirrored:
            points = np.array([size[0] - 1, 0]) + points * (-1, 1)
        for _ in range(turn // 90):
            points, size = np.stack([points[:, 1], size[0] - 1 - points[:, 0]], axis=1), size[::-1]
        assert faults(points, size) == []

    @pytest.mark.skipif(not REAL.is_dir(), reason="ISBI2015_DIR does not name the folder of the challenge's films")
    def test_symbols_and_names_stay_apart_on_the_annotated_films(self) -> None:
        """On every fourth film; test_overlay.py looks at the symbols of all."""
        wrong = {}
        for split in ("train", "test1", "test2"):
            for film in isbi2015(REAL, split)[::4]:
                if found := faults(film.landmarks[:, ::-1], SIZE):
                    wrong[split, film.name] = found
        assert wrong == {}


def faults(points: np.ndarray, size: tuple[int, int]) -> list[str]:
    """Return what is wrong with the symbols and the names of planes in a tracing."""
    svg = tracing_svg(dict(zip(SYMBOLS, map(tuple, points.tolist()), strict=True)), size)
    boxes = texts_of(svg, SYMBOL_GROUP)
    names = texts_of(svg, "layer-planes")
    # the corner of the first pixel is (0, 0) there
    shifted = [boxes[symbol] + 0.5 for symbol in SYMBOLS]
    return label_faults(points + 0.5, shifted, size, 8 * max(size) / 1400, [box + 0.5 for box in names.values()])
