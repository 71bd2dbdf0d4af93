from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_ceph.errors import CephError
from monai_ceph.labelling.markups import read_extra_landmarks, read_label_json
from monai_ceph.landmarks import LANDMARKS, NAMES
from monai_ceph.readers.placement import Placement, placement_of
from monai_ceph.reports.markups import as_markups, write_markups


def saved(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def control_points(points: np.ndarray, plane: Placement) -> list[dict[str, Any]]:
    return as_markups(points, plane, millimetres=True)["markups"][0]["controlPoints"]


def test_markups_follow_slicers_schema(points: np.ndarray, plane: Placement) -> None:
    content = as_markups(points, plane, millimetres=True)
    (markup,) = content["markups"]
    assert content["@schema"].endswith("markups-schema-v1.0.3.json#")
    assert (markup["type"], markup["coordinateSystem"], markup["coordinateUnits"]) == ("Fiducial", "LPS", "mm")
    for point in markup["controlPoints"]:
        assert point["positionStatus"] == "defined"
        assert len(point["position"]) == 3
        assert len(point["orientation"]) == 9


def test_a_missing_landmark_has_no_point(points: np.ndarray, plane: Placement) -> None:
    labels = [point["label"] for point in control_points(points, plane)]
    assert labels == [name for name in NAMES if name not in ("Porion", "Gonion")]


def test_without_a_scale_no_unit_is_named(points: np.ndarray, plane: Placement) -> None:
    assert "coordinateUnits" not in as_markups(points, plane, millimetres=False)["markups"][0]


def test_points_survive_a_round_trip_through_markups(points: np.ndarray, dicom_film: Path, tmp_path: Path) -> None:
    plane = placement_of(dicom_film)
    write_markups(tmp_path / "a.mrk.json", as_markups(points, plane, millimetres=True))
    np.testing.assert_allclose(read_label_json(tmp_path / "a.mrk.json", plane), points, atol=1e-4)


def test_landmarks_that_a_person_adds_are_kept(points: np.ndarray, plane: Placement, tmp_path: Path) -> None:
    added = {"U1A": np.array([100.0, 80.0]), "Prn": np.array([90.0, 120.5])}
    content = as_markups(points, plane, millimetres=True, extra=added)
    marks = content["markups"][0]["controlPoints"]
    assert [(mark["label"], mark["id"]) for mark in marks[-2:]] == [("Upper incisor apex", "20"), ("Pronasale", "24")]
    assert content["markups"][0]["lastUsedControlPointNumber"] == 24
    marks[-1]["label"] = "prn"
    file = saved(tmp_path / "a.json", content)
    np.testing.assert_allclose(read_label_json(file, plane), points, atol=1e-4)
    found = read_extra_landmarks(file, plane)
    assert list(found) == ["U1A", "Prn"]
    for symbol, place in added.items():
        np.testing.assert_allclose(found[symbol], place, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "Upper incisor apex"}, "Upper incisor apex is in the label twice"),
        ({"position": [1e6, 0, 0]}, "lies at"),
    ],
)
def test_added_landmarks_that_cannot_be(
    points: np.ndarray, plane: Placement, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    added = {"U1A": np.array([100.0, 80.0]), "Prn": np.array([90.0, 120.5])}
    content = as_markups(points, plane, millimetres=True, extra=added)
    content["markups"][0]["controlPoints"][-1].update(change)
    with pytest.raises(CephError, match=said):
        read_extra_landmarks(saved(tmp_path / "a.json", content), plane)


def test_ras_positions_are_converted_to_lps(points: np.ndarray, plane: Placement, tmp_path: Path) -> None:
    content = as_markups(points, plane, millimetres=True)
    content["markups"][0]["coordinateSystem"] = "RAS"
    for point in content["markups"][0]["controlPoints"]:
        point["position"] = [-point["position"][0], -point["position"][1], point["position"][2]]
    np.testing.assert_allclose(read_label_json(saved(tmp_path / "a.json", content), plane), points, atol=1e-4)


def test_an_undefined_point_is_not_annotated(points: np.ndarray, plane: Placement, tmp_path: Path) -> None:
    content = as_markups(points, plane, millimetres=True)
    content["markups"][0]["controlPoints"][0]["positionStatus"] = "undefined"
    assert np.isnan(read_label_json(saved(tmp_path / "a.json", content), plane)[0]).all()


def test_names_and_symbols_are_accepted_in_upper_and_lower_case(plane: Placement, tmp_path: Path) -> None:
    marks = [{"label": label, "position": [1.0, 2.0, 0.0]} for label in (" sella", "n", "POG'", "Pog")]
    found = read_label_json(saved(tmp_path / "a.json", {"markups": [{"controlPoints": marks}]}), plane)
    placed = [mark.symbol for mark, point in zip(LANDMARKS, found, strict=True) if np.isfinite(point).all()]
    assert placed == ["S", "N", "Pog", "Pog'"]


def test_moved_points_of_a_detection_are_read(plane: Placement, tmp_path: Path) -> None:
    marks = [{"symbol": "S", "x": 10.5, "y": 20.0}, {"symbol": "N", "x": None, "y": None}]
    found = read_label_json(saved(tmp_path / "a.json", {"landmarks": marks}), plane)
    np.testing.assert_array_equal(found[0], [20.0, 10.5])
    assert np.isnan(found[1:]).all()


def test_a_point_removed_from_a_detection_is_missing(plane: Placement, tmp_path: Path) -> None:
    marks = [{"symbol": "S", "x": -1, "y": -1}, {"symbol": "N", "x": 30.0, "y": 40}]
    found = read_label_json(saved(tmp_path / "a.json", {"landmarks": marks}), plane)
    assert np.isfinite(found).all(axis=1).nonzero()[0].tolist() == [1]


def test_params_of_an_inference_are_read_although_they_have_markups(plane: Placement, tmp_path: Path) -> None:
    params = {"landmarks": [FOUND], "markups": {"unit": "mm", "spacing": [0.5, 0.25], "note": "..."}}
    for content in (params, {"label": None, "tag": "original", "params": params}, {"params": params, "ts": 1}):
        found = read_label_json(saved(tmp_path / "a.json", content), plane)
        np.testing.assert_array_equal(found[0], [20.0, 10.5])
        assert np.isnan(found[1:]).all()


def test_a_byte_order_mark_is_ignored(plane: Placement, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"landmarks": [FOUND]}), encoding="utf-8-sig")
    np.testing.assert_array_equal(read_label_json(path, plane)[0], [20.0, 10.5])


def test_a_detection_with_the_uid_of_the_film_is_accepted(plane: Placement, tmp_path: Path) -> None:
    content = {"image_uid": "2.25.1", "rows": 240, "columns": 200, "landmarks": [FOUND]}
    assert read_label_json(saved(tmp_path / "a.json", content), plane, "2.25.1")[0].tolist() == [20.0, 10.5]
    with pytest.raises(CephError, match="another film"):
        read_label_json(tmp_path / "a.json", plane, "2.25.2")


MARK = {"label": "Sella", "position": [1.0, 2.0, 0.0]}
FOUND = {"symbol": "S", "x": 10.5, "y": 20.0}
WRONG = {
    "no JSON": ("{", "not JSON"),
    "a list": ("[]", "not an object"),
    "another file": ("{}", "neither Slicer's markups"),
    "the unit alone": ({"markups": {"unit": "mm"}}, "neither Slicer's markups"),
    "params without landmarks": ({"params": {"output": "json"}}, "neither Slicer's markups"),
    "an unknown name": ({"markups": [{"controlPoints": [{**MARK, "label": "F-1"}]}]}, "no landmark is called 'F-1'"),
    "a name twice": ({"markups": [{"controlPoints": [MARK, {**MARK, "label": "S"}]}]}, "Sella is in the label twice"),
    "Slicer's regions": ({"markups": []}, "contains no landmark"),
    "all unset": ({"markups": [{"controlPoints": [{**MARK, "positionStatus": "undefined"}]}]}, "contains no landmark"),
    "no position": ({"markups": [{"controlPoints": [{"label": "S"}]}]}, "do not follow Slicer's schema"),
    "two numbers": ({"markups": [{"controlPoints": [{**MARK, "position": [1, 2]}]}]}, "do not follow Slicer's schema"),
    "far away": ({"markups": [{"controlPoints": [{**MARK, "position": [-500.0, 2.0, 0.0]}]}]}, "another film"),
    "another size": ({"rows": 241, "columns": 200, "landmarks": [FOUND]}, "another film: its shape"),
    "another image": ({"image_uid": "2.25.9", "landmarks": [FOUND]}, "another film: its SOP Instance UID"),
    "no coordinates": ({"landmarks": [{"symbol": "S", "x": "a", "y": 1}]}, "not those of a detection"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_bad_labels_are_refused(plane: Placement, tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(CephError, match=message):
        read_label_json(path, plane)
