from __future__ import annotations

from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
from samples import noise, save_grey

from monai_ceph.errors import CephError
from monai_ceph.labelling.cvat import as_annotations, detector_labels
from monai_ceph.labelling.label_map import LABELS, discs, names_of_values, read_label_map, write_label_map
from monai_ceph.landmarks import NAMES
from monai_ceph.readers.placement import Placement, placement_of

SIZE = (240, 200)


@pytest.mark.parametrize(("compress", "encoding"), [(True, "gzip"), (False, "raw")])
def test_a_map_is_packed_only_if_the_client_reads_that(tmp_path: Path, compress: bool, encoding: str) -> None:
    """OHIF's plugin asks for raw values; unpacked ones it takes for 16 bits, which an odd number of pixels is not."""
    film = save_grey(tmp_path / "film.png", noise(241, 201))
    points = np.full((19, 2), 100.0)
    write_label_map(tmp_path / "map.nrrd", points, placement_of(film), compress=compress)
    content = (tmp_path / "map.nrrd").read_bytes()
    head, _, values = content.partition(b"\n\n")
    assert f"encoding: {encoding}".encode() in head
    assert (len(values) == 241 * 201) == (not compress)
    assert read_label_map(tmp_path / "map.nrrd", (241, 201))[18].tolist() == pytest.approx([100.0, 100.0])


def test_every_landmark_except_missing_ones_has_a_disc(points: np.ndarray) -> None:
    labels = discs(points, SIZE)
    assert set(np.unique(labels)) == {0, *range(1, 20)} - {LABELS["Porion"], LABELS["Gonion"]}
    for value, point in enumerate(points, start=1):
        if np.isfinite(point).all():
            np.testing.assert_allclose(np.argwhere(labels == value).mean(axis=0), point, atol=0.5)


def test_overlapping_discs_are_divided_by_distance() -> None:
    points = np.full((19, 2), np.nan)
    points[7], points[8] = (50.0, 50.0), (50.0, 52.0)
    labels = discs(points, SIZE)
    assert (labels[50, 50], labels[50, 52]) == (8, 9)
    assert labels[50, 49] == 8
    assert labels[50, 53] == 9


def test_a_disc_is_cut_off_at_the_border() -> None:
    points = np.full((19, 2), np.nan)
    points[0], points[1] = (0.0, 0.0), (239.0, 199.0)
    labels = discs(points, SIZE)
    assert (labels[0, 0], labels[239, 199]) == (1, 2)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_the_map_has_the_position_of_the_film(
    dicom_film: Path, points: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    plane, target = placement_of(dicom_film), tmp_path / f"map{suffix}"
    write_label_map(target, points, plane)
    film, labels = itk.imread(str(dicom_film)), itk.imread(str(target))
    for one in ("GetSpacing", "GetOrigin"):
        np.testing.assert_allclose(getattr(labels, one)(), getattr(film, one)(), atol=1e-5)
    np.testing.assert_allclose(itk.array_from_matrix(labels.GetDirection()), np.eye(3), atol=1e-9)
    assert itk.array_view_from_image(labels).shape == (1, *plane.size)
    np.testing.assert_allclose(read_label_map(target, plane.size), points, atol=0.5, equal_nan=True)


def test_nibabel_reads_the_nifti_map(plane: Placement, points: np.ndarray, tmp_path: Path) -> None:
    write_label_map(tmp_path / "map.nii.gz", points, plane)
    voxels = np.asarray(nibabel.load(tmp_path / "map.nii.gz").dataobj)[:, :, 0].T
    np.testing.assert_array_equal(voxels, discs(points, plane.size))


def test_a_map_of_another_size_is_refused(plane: Placement, points: np.ndarray, tmp_path: Path) -> None:
    write_label_map(tmp_path / "map.nrrd", points, plane)
    with pytest.raises(CephError, match="It belongs to another film"):
        read_label_map(tmp_path / "map.nrrd", (241, 200))


def test_an_empty_map_is_refused(plane: Placement, tmp_path: Path) -> None:
    write_label_map(tmp_path / "map.nrrd", np.full((19, 2), np.nan), plane)
    with pytest.raises(CephError, match="none of the values 1 to 19"):
        read_label_map(tmp_path / "map.nrrd", plane.size)


def slicer_map(points: np.ndarray, plane: Placement, target: Path) -> list[dict[str, object]]:
    """Write a map as Slicer does: the existing segments, numbered from 1. Return their names."""
    present = [index for index, point in enumerate(points) if np.isfinite(point).all()]
    packed = np.full_like(points, np.nan)
    packed[: len(present)] = points[present]
    write_label_map(target, packed, plane)
    return [{"name": NAMES[index], "idx": value} for value, index in enumerate(present, start=1)]


def test_names_from_slicer_override_the_numbers_in_its_map(
    plane: Placement, points: np.ndarray, tmp_path: Path
) -> None:
    points[9] = (150.5, 20.25)
    info = slicer_map(points, plane, tmp_path / "map.nrrd")
    assert len(info) == 18
    read = read_label_map(tmp_path / "map.nrrd", plane.size, names_of_values(info))
    np.testing.assert_allclose(read, points, atol=0.5, equal_nan=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Segment_3"}, "no landmark is called 'Segment_3'"),
        ({"name": "Nasion"}, "Nasion is in the label map twice"),
        ({"idx": 40}, "contains the value 3, which label_info does not name"),
        ({"idx": 1}, "two names to the value 1"),
        ({"idx": "third"}, "must be a list of objects with name and idx"),
    ],
)
def test_names_that_do_not_fit_the_map_are_refused(
    plane: Placement, points: np.ndarray, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    info = slicer_map(points, plane, tmp_path / "map.nrrd")
    info[2] |= change
    with pytest.raises(CephError, match=message):
        read_label_map(tmp_path / "map.nrrd", plane.size, names_of_values(info))


def test_the_pixel_that_contains_a_landmark_belongs_to_it(plane: Placement, tmp_path: Path) -> None:
    points = np.full((19, 2), np.nan)
    # the second lies in another pixel, and is nearer to the centre of the first one's
    points[:2] = (50.45, 50.45), (50.0, 50.51)
    points[2:4] = (-0.3, 0.0), (239.4, 199.4)
    assert discs(points, SIZE)[[50, 50, 0, 239], [50, 51, 0, 199]].tolist() == [1, 2, 3, 4]
    assert write_label_map(tmp_path / "map.nrrd", points, plane) == {name: LABELS[name] for name in NAMES[:4]}
    # a disc that a neighbour or the border cuts is off by less than its radius
    read = read_label_map(tmp_path / "map.nrrd", plane.size)
    assert np.linalg.norm(read - points, axis=1)[:4].max() < 2.0


def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.nrrd").write_text("nothing")
    with pytest.raises(CephError, match="cannot be read"):
        read_label_map(tmp_path / "map.nrrd", SIZE)


def test_cvat_gets_a_diamond_around_each_landmark(points: np.ndarray) -> None:
    (annotation,) = as_annotations(points, rows=240)
    elements = annotation["annotation"]["elements"]
    assert [element["label"] for element in elements] == [name for name in NAMES if name not in ("Porion", "Gonion")]
    (contour,) = elements[0]["contours"]
    # as the plugin reads them
    corners = np.array(contour, int)
    np.testing.assert_array_equal(corners.mean(axis=0), [10, 20])
    assert len(corners) == 4


def test_cvat_labels_have_the_names_of_the_landmarks() -> None:
    assert {label["name"]: label["id"] for label in detector_labels()} == LABELS
