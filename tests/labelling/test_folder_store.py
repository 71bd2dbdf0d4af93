from __future__ import annotations

import csv
import json
import os
import shutil
import zipfile
from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
from samples import noise, save_grey

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

from monai_ceph.datasets import folder
from monai_ceph.errors import CephError, ReadError
from monai_ceph.labelling.errors import NotThereError, RefusedError
from monai_ceph.labelling.folder_store import FolderStore
from monai_ceph.labelling.label_map import write_label_map
from monai_ceph.labelling.markups import read_extra_landmarks
from monai_ceph.landmarks import NAMES
from monai_ceph.readers import read_radiograph
from monai_ceph.readers.placement import placement_of
from monai_ceph.reports.markups import as_markups, write_markups


@pytest.fixture
def root(tmp_path: Path, dicom_film: Path) -> Path:
    """A folder with films of every kind, and other files."""
    root = tmp_path / "studies"
    (root / "clinic-b" / ".hidden").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "c.BMP", "twice.png", "clinic-b/d.png", "clinic-b/.hidden/e.png"):
        save_grey(root / name, noise(240, 200))
    for name in ("twice.dcm", "IM0001"):
        shutil.copy(dicom_film, root / name)
    (root / "volume.nii").write_bytes(b"0")
    (root / "notes.txt").write_text("no film")
    return root


@pytest.fixture
def store(root: Path) -> FolderStore:
    return FolderStore(root)


@pytest.fixture
def label(tmp_path: Path, root: Path, points: np.ndarray) -> Path:
    """Markups on a.png."""
    write_markups(tmp_path / "label.mrk.json", as_markups(points, placement_of(root / "a.png"), millimetres=False))
    return tmp_path / "label.mrk.json"


def files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file()}


def test_films_of_every_kind_are_listed(store: FolderStore) -> None:
    assert sorted(store.list_images()) == [
        "IM0001",
        "a.png",
        "b.jpg",
        "c.BMP",
        "clinic-b/d.png",
        "twice.dcm",
        "twice.png",
    ]


def test_a_new_film_is_listed_at_once(store: FolderStore, root: Path) -> None:
    save_grey(root / "new.png", noise(240, 200))
    assert "new.png" in store.list_images()


def test_a_film_may_be_named_without_its_suffix(store: FolderStore, root: Path) -> None:
    assert store.film("clinic-b/d") == ("clinic-b/d.png", root / "clinic-b" / "d.png")


def test_a_name_without_suffix_that_fits_two_films_is_refused(store: FolderStore) -> None:
    with pytest.raises(NotThereError, match=r"several begin with that name: twice\.dcm, twice\.png"):
        store.film("twice")


@pytest.mark.parametrize("name", ["", "..", "../film.png", "/etc/passwd", "a/../../b", "x\\y", "notes.txt", "clinic-b"])
def test_names_that_are_not_films_of_the_folder_are_refused(store: FolderStore, name: str) -> None:
    with pytest.raises(NotThereError, match="no film"):
        store.film(name)


def test_a_saved_label_can_be_read(store: FolderStore, label: Path, points: np.ndarray) -> None:
    assert store.save_label("a", str(label), "final", {"client_id": "me"}) == "a.png"
    np.testing.assert_allclose(store.points("a.png"), points, atol=1e-4, equal_nan=True)
    assert store.get_label_info("a.png", "final")["client_id"] == "me"
    assert store.get_labels_by_image_id("a.png") == {"final": "a.png"}
    assert (store.get_labeled_images(), "a.png" in store.get_unlabeled_images()) == (["a.png"], False)
    assert store.status() == {"total": 7, "completed": 1, "label_tags": {"final": 1}}
    assert store.json()["objects"]["a.png"]["labels"]["final"]["ext"] == ".mrk.json"


def test_a_landmark_that_the_model_does_not_find_stays_in_the_label(
    store: FolderStore, root: Path, points: np.ndarray, tmp_path: Path
) -> None:
    plane = placement_of(root / "a.png")
    added = {"U1A": np.array([100.0, 80.0])}
    write_markups(tmp_path / "label.json", as_markups(points, plane, millimetres=False, extra=added))
    store.save_label("a.png", str(tmp_path / "label.json"), "final", {})
    np.testing.assert_allclose(store.points("a.png"), points, atol=1e-4, equal_nan=True)
    kept = read_extra_landmarks(Path(store.get_label_uri("a.png", "final")), plane)
    np.testing.assert_allclose(kept["U1A"], added["U1A"], atol=1e-4)


def test_films_that_differ_only_in_the_suffix_have_their_own_labels(
    store: FolderStore, root: Path, points: np.ndarray, tmp_path: Path
) -> None:
    markups = as_markups(points, placement_of(root / "twice.png"), millimetres=False)
    write_markups(tmp_path / "label.json", markups)
    store.save_label("twice.png", str(tmp_path / "label.json"), "final", {})
    assert store.labelled() == {"twice.png"}


def test_points_are_the_centres_of_the_discs_in_a_label_map(
    store: FolderStore, root: Path, points: np.ndarray, tmp_path: Path
) -> None:
    write_label_map(tmp_path / "map.nrrd", points, placement_of(root / "IM0001"))
    store.save_label("IM0001", str(tmp_path / "map.nrrd"), "final", {})
    np.testing.assert_allclose(store.points("IM0001"), points, atol=0.5, equal_nan=True)


def test_names_sent_with_a_label_map_override_its_values(
    store: FolderStore, root: Path, points: np.ndarray, tmp_path: Path
) -> None:
    packed = np.full_like(points, np.nan)
    packed[:17] = points[np.isfinite(points).all(axis=1)]
    write_label_map(tmp_path / "map.nrrd", packed, placement_of(root / "IM0001"))
    names = [name for name, point in zip(NAMES, points, strict=True) if np.isfinite(point).all()]
    info = {"label_info": [{"name": name, "idx": value} for value, name in enumerate(names, start=1)]}
    store.save_label("IM0001", str(tmp_path / "map.nrrd"), "final", info)
    np.testing.assert_allclose(store.points("IM0001"), points, atol=0.5, equal_nan=True)


@pytest.mark.parametrize("content", ["", "{}", '{"markups": []}'])
def test_a_refused_label_changes_nothing(store: FolderStore, root: Path, label: Path, content: str) -> None:
    store.save_label("a.png", str(label), "final", {})
    before = {path: path.read_bytes() for path in files(root)}
    label.write_text(content)
    with pytest.raises(CephError, match="the label"):
        store.save_label("a.png", str(label), "final", {})
    assert {path: path.read_bytes() for path in files(root)} == before


def test_a_detection_of_another_dicom_film_is_refused(store: FolderStore, tmp_path: Path) -> None:
    label = tmp_path / "label.json"
    label.write_text(json.dumps({"image_uid": "2.25.9", "landmarks": [{"symbol": "S", "x": 10, "y": 10}]}))
    with pytest.raises(CephError, match="of another film"):
        store.save_label("IM0001", str(label), "final", {})


def test_an_error_message_shows_no_path_of_the_server(store: FolderStore, root: Path, label: Path) -> None:
    (root / "a.png").write_bytes(b"damaged")
    with pytest.raises(CephError, match=r"^a\.png: ") as refusal:
        store.save_label("a.png", str(label), "final", {})
    (root / "map.nrrd").write_text("nothing")
    with pytest.raises(CephError, match="the label") as other:
        store.save_label("IM0001", str(root / "map.nrrd"), "final", {})
    assert str(root) not in f"{refusal.value}{other.value}"


@pytest.mark.parametrize("tag", ["..", "../x", "a/b", "", ".hidden"])
def test_a_tag_cannot_lead_out_of_the_folder_when_saving(store: FolderStore, label: Path, root: Path, tag: str) -> None:
    before = files(root.parent)
    with pytest.raises(CephError, match="is not a valid tag"):
        store.save_label("a.png", str(label), tag, {})
    assert files(root.parent) == before


@pytest.mark.parametrize("tag", ["/", "../..", "labels/final", ".hidden"])
def test_a_tag_cannot_lead_out_of_the_folder_when_listing(store: FolderStore, root: Path, tag: str) -> None:
    for ask in (store.labelled, store.get_labeled_images, store.get_unlabeled_images):
        with pytest.raises(CephError, match="is not a valid tag"):
            ask(tag)


def test_a_name_that_is_not_utf8_is_left_out(store: FolderStore, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = store.list_images()
    odd = Path(os.fsdecode(os.fsencode(root) + b"/M\xfcller.png"))
    shutil.copy(root / "a.png", odd)
    for _ in range(2):
        assert store.list_images() == before
    assert json.dumps(store.json(), ensure_ascii=False).encode()
    assert len(caplog.records) == 1
    assert "not UTF-8" in caplog.text


def test_a_label_is_removed(store: FolderStore, label: Path) -> None:
    store.save_label("a.png", str(label), "draft", {})
    store.remove_label("a.png", "draft")
    assert store.get_label_uri("a.png", "draft") == ""
    with pytest.raises(NotThereError, match="no label 'draft'"):
        store.remove_label("a.png", "draft")


def test_films_are_not_removed_or_replaced(store: FolderStore, root: Path) -> None:
    with pytest.raises(RefusedError, match="never removes films"):
        store.remove_image("a.png")
    with pytest.raises(RefusedError, match="never replaced"):
        store.add_image("a.png", str(root / "b.jpg"), {})


def test_an_uploaded_film_is_added_to_the_folder(store: FolderStore, root: Path, tmp_path: Path) -> None:
    upload = save_grey(tmp_path / "tmp123.png", noise(240, 200))
    assert store.add_image("late", str(upload), {}) == "late.png"
    assert (root / "late.png").read_bytes() == upload.read_bytes()
    with pytest.raises(NotThereError, match="no film"):
        store.add_image("../late", str(upload), {})


def test_an_upload_that_is_not_a_film_is_not_added(store: FolderStore, root: Path, tmp_path: Path) -> None:
    before = files(root)
    for name, content in (("page.html", b"<html>"), ("late.png", b"no picture"), ("late", b"nothing")):
        upload = tmp_path / f"tmp-{name}"
        upload.write_bytes(content)
        with pytest.raises(CephError) as refusal:
            store.add_image(name, str(upload), {})
        assert str(tmp_path) not in str(refusal.value)
    assert files(root) == before


@pytest.mark.parametrize("name", [".late", "labels/final/late", "labels/late.png", ".hidden/late.png"])
def test_an_upload_cannot_take_a_name_that_is_never_listed(
    store: FolderStore, root: Path, tmp_path: Path, name: str
) -> None:
    upload = save_grey(tmp_path / "tmp123.png", noise(240, 200))
    before = files(root)
    with pytest.raises(RefusedError, match="a film cannot be called"):
        store.add_image(name, str(upload), {})
    assert files(root) == before


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_is_refused_everywhere(store: FolderStore, root: Path, tmp_path: Path, suffix: str) -> None:
    upload = tmp_path / f"tmp123{suffix}"
    nibabel.save(nibabel.Nifti1Image(noise(200, 240)[..., None], np.diag([-1, -1, 1, 1])), upload)
    with pytest.raises(ReadError, match="NIfTI file cannot be labelled"):
        store.add_image("late", str(upload), {})
    shutil.copy(upload, root / f"there{suffix}")
    with pytest.raises(ReadError, match=rf"^there{suffix}: a film in a NIfTI file cannot be labelled"):
        store.film(f"there{suffix}")
    with pytest.raises(NotThereError, match="no film"):
        store.film("there")


def test_the_archive_is_a_dataset_folder(store: FolderStore, label: Path, points: np.ndarray, tmp_path: Path) -> None:
    store.save_label("a.png", str(label), "final", {})
    archive = store.get_dataset_archive(None)
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "dataset")
    Path(archive).unlink()
    (film,) = folder(tmp_path / "dataset")
    assert film.name == "films/a.png"
    np.testing.assert_allclose(film.landmarks, points, atol=1e-3, equal_nan=True)


def test_films_of_an_archive_never_share_a_file(
    store: FolderStore, root: Path, label: Path, points: np.ndarray, tmp_path: Path
) -> None:
    """Two films whose names differ only in a missing suffix, and one whose pixels are in another file."""
    write_markups(tmp_path / "dicom.json", as_markups(points, placement_of(root / "IM0001"), millimetres=True))
    shutil.copy(root / "IM0001", root / "IM0001.dcm")
    itk.imwrite(itk.image_from_array(noise(240, 200)), str(root / "clinic-b" / "head.mhd"))
    for name in ("IM0001", "IM0001.dcm", "twice.dcm"):
        store.save_label(name, str(tmp_path / "dicom.json"), "final", {})
    store.save_label("clinic-b/head.mhd", str(label), "final", {})
    archive = store.get_dataset_archive(None)
    with zipfile.ZipFile(archive) as file:
        file.extractall(root.parent / "dataset")
    Path(archive).unlink()
    films = folder(root.parent / "dataset")
    assert sorted(film.name for film in films) == [
        *("films/IM0001", "films/IM0001.dcm", "films/clinic-b/head.mhd", "films/twice.dcm")
    ]
    assert all(read_radiograph(film.image).pixels.size for film in films)


def test_an_archive_without_labelled_films_is_refused(store: FolderStore) -> None:
    with pytest.raises(NotThereError, match="no film is labelled"):
        store.get_dataset_archive(None)


def test_a_dataset_refers_to_the_films_and_leaves_out_unusable_ones(
    store: FolderStore, root: Path, label: Path, points: np.ndarray, tmp_path: Path
) -> None:
    from monai_ceph.labelling.dataset import write_dataset

    head = points.copy()
    head[1] = (20.5, 90.25)  # S-N of 64 mm
    write_markups(tmp_path / "dicom.json", as_markups(head, placement_of(root / "IM0001"), millimetres=True))
    write_markups(tmp_path / "tiny.json", as_markups(points, placement_of(root / "IM0001"), millimetres=True))
    markups = as_markups(points, placement_of(root / "IM0001"), millimetres=True)
    markups["markups"][0]["controlPoints"] = markups["markups"][0]["controlPoints"][:1]
    write_markups(tmp_path / "one.json", markups)
    for name, file in (
        ("a.png", label),
        ("clinic-b/d.png", label),
        ("IM0001", "dicom.json"),
        ("twice.dcm", "one.json"),
    ):
        store.save_label(name, str(tmp_path / file), "final", {})
    Path(store.get_label_uri("clinic-b/d.png", "final")).write_text("damaged")
    assert write_dataset(store, tmp_path / "out") == ["IM0001", "a.png"]
    films = {film.image.resolve().name: film for film in folder(tmp_path / "out")}
    np.testing.assert_allclose(films["a.png"].landmarks, points, atol=1e-3, equal_nan=True)
    assert films["IM0001"].pixel_spacing > 0
    assert np.isnan(films["a.png"].pixel_spacing)
    with (tmp_path / "out" / "landmarks.csv").open() as stream:
        assert "Porion" in {row["landmark"] for row in csv.DictReader(stream)}
    assert write_dataset(store, tmp_path / "out", without=frozenset({"a.png"})) == ["IM0001"]
    assert write_dataset(store, tmp_path / "out", limit=1) == ["IM0001"]
    # S-N of 10 mm: what the film says of its scale is wrong, or the points are
    store.save_label("IM0001", str(tmp_path / "tiny.json"), "final", {})
    assert json.loads(Path(store.get_label_uri("IM0001", "final")).read_text())
    write_dataset(store, tmp_path / "out", limit=1)
    assert np.isnan(folder(tmp_path / "out")[0].pixel_spacing)


def test_notes_about_a_film_are_kept(store: FolderStore) -> None:
    store.update_image_info("a", {"strategy": {"first": 1}})
    assert store.get_image_info("a.png") == {"name": "a.png", "strategy": {"first": 1}}


def test_label_info_is_json(store: FolderStore, label: Path, root: Path) -> None:
    store.save_label("a.png", str(label), "final", {})
    store.update_label_info("a.png", "final", {"mre_px": 1.5})
    info = json.loads((root / "labels" / "final" / "a.png.info.json").read_text())
    assert (info["mre_px"], info["name"]) == (1.5, "a.png.mrk.json")
