"""The store with a PACS that fails; tests/integration uses a real PACS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

from pydicom import Dataset, dcmread
from web_archive import Archive, as_json, dataset, multipart, serving, store_response

from monai_ceph.archives.config import DicomWebService
from monai_ceph.errors import CephError
from monai_ceph.labelling.dicomweb_store import DicomWebStore
from monai_ceph.labelling.errors import NotThereError
from monai_ceph.readers.placement import placement_of
from monai_ceph.reports.markups import as_markups, write_markups
from monai_ceph.reports.reviewed_report import review_series_uid


class Pacs(Archive):
    """A DICOMweb service with films, which keeps the reports that it receives.

    Attributes:
        films: the films, in the order in which they are listed.
        reports: the reports that were stored.
        searches: the conditions of all searches for series.
        extra: for each path, further items (JSON) that come first in its answer.
        status: HTTP status of all answers to searches.
        fails_after_store: if True, searches fail once a report was stored.
        store_response: what it answers about a report; None: nothing.
        keeps: whether it keeps reports at all.
    """

    def __init__(self, film: Path) -> None:
        super().__init__()
        self.films, self.reports = [dcmread(film)], list[Dataset]()
        self.searches: list[dict[str, str]] = []
        self.extra: dict[str, list[Any]] = {}
        self.status = 200
        self.fails_after_store = False
        self.stowed = self.keep
        self.store_response: dict[str, str] | None = {}
        self.keeps = True

    def keep(self, sent: Dataset) -> Any:
        if self.keeps:
            self.reports.append(sent)
        if self.store_response is None:
            return as_json(Dataset())
        return as_json(store_response(sent, **self.store_response))

    def answer(self, path: str, options: dict[str, list[str]]) -> tuple[int, str, bytes]:
        self.asked.append(path)
        parts, everything = path.strip("/").split("/"), [*self.films, *self.reports]
        if len(parts) == 6:
            stream = BytesIO()
            next(each for each in everything if each.SOPInstanceUID == parts[-1]).save_as(
                stream, enforce_file_format=True
            )
            return 200, 'multipart/related; type="application/dicom"; boundary=B', multipart(stream.getvalue())
        if self.fails_after_store and self.reports:
            return 503, "text/plain", b""
        wanted = {name: values[0] for name, values in options.items() if name in ("Modality", "SeriesInstanceUID")}
        if parts == ["series"]:
            self.searches.append(wanted)
            found = [*self.films, *self.reports[:1]]
        else:
            wanted = {"StudyInstanceUID": parts[1], "SeriesInstanceUID": parts[3]}
            found = everything
        items = [self.item(each) for each in found if all(each[name].value == value for name, value in wanted.items())]
        items = [*self.extra.get(path, []), *items] if options.get("offset", ["0"]) == ["0"] else []
        return self.status, "application/dicom+json", json.dumps(items).encode()

    @staticmethod
    def item(film: Dataset) -> dict[str, Any]:
        names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        return dataset(**{name: film[name].value for name in names}).to_json_dict()


@pytest.fixture
def pacs(dicom_film: Path) -> Iterator[Pacs]:
    with serving(Pacs(dicom_film)) as pacs:
        yield pacs


@pytest.fixture
def store(pacs: Pacs, tmp_path: Path) -> DicomWebStore:
    service = DicomWebService.model_validate({"name": "PACS", "url": pacs.url, "timeout_s": 10})
    return DicomWebStore(service, tmp_path / "cache")


@pytest.mark.parametrize("status", [408, 429, 503, 504])
def test_the_error_of_a_busy_pacs_is_readable(pacs: Pacs, store: DicomWebStore, status: int) -> None:
    pacs.status = status
    with pytest.raises(CephError, match=f"^PACS: HTTP {status}$"):
        store.list_images()


def another_film(film: Path, **uids: str) -> Dataset:
    result = dcmread(film)
    for name, uid in uids.items():
        setattr(result, name, uid)
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    return result


BAD = {
    "null": None,
    "text": "text",
    "no element": {},
    "no list": {"0020000E": {"vr": "UI", "Value": 7}},
    "no study": {"0020000E": {"vr": "UI", "Value": ["1.2.3"]}},
    "two UIDs": {"0020000D": {"vr": "UI", "Value": ["1.2"]}, "0020000E": {"vr": "UI", "Value": ["1.3", "1.4"]}},
    "path": {"0020000D": {"vr": "UI", "Value": ["../1"]}, "0020000E": {"vr": "UI", "Value": ["1.3"]}},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_series_is_logged_and_the_other_films_are_listed(
    pacs: Pacs, store: DicomWebStore, dicom_film: Path, bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pacs.films.append(another_film(dicom_film, SeriesInstanceUID="2.25.1", SOPInstanceUID="2.25.2"))
    pacs.extra["/series"] = [bad]
    assert store.list_images() == [str(film.SeriesInstanceUID) for film in pacs.films]
    assert store.labelled() == set()
    (line,) = {record.getMessage() for record in caplog.records}
    assert line.startswith("not listed: PACS: an answer ")
    caplog.clear()
    # logged once, although the bad item is in every list
    store._list(fresh=True)
    assert caplog.records == []


def test_films_are_listed_although_the_images_of_one_series_are_not(
    pacs: Pacs, store: DicomWebStore, dicom_film: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = pacs.films[0]
    pacs.films.append(another_film(dicom_film, SeriesInstanceUID="2.25.1", SOPInstanceUID="2.25.2"))
    path = f"/studies/{first.StudyInstanceUID}/series/{first.SeriesInstanceUID}/instances"
    pacs.raw[path] = {}, b"<html>Sorry</html>"
    assert store.list_images() == ["2.25.1"]
    (line,) = [record.getMessage() for record in caplog.records]
    cause = f"PACS: the answer is not DICOMweb (JSONDecodeError) (series {first.SeriesInstanceUID})"
    assert line == f"not listed: {cause}"
    with pytest.raises(CephError) as caught:
        store.canonical(str(first.SeriesInstanceUID))
    assert str(caught.value) == cause


def test_the_other_images_of_a_series_with_a_bad_image_are_listed(pacs: Pacs, store: DicomWebStore) -> None:
    film = pacs.films[0]
    path = f"/studies/{film.StudyInstanceUID}/series/{film.SeriesInstanceUID}/instances"
    pacs.extra[path] = [{"00080018": {"vr": "UI", "Value": ["no uid"]}}]
    # the series has two images, although one of them cannot be used
    assert store.list_images() == [f"{film.SeriesInstanceUID}/{film.SOPInstanceUID}"]


def test_a_label_counts_as_saved_once_it_is_in_the_pacs(
    pacs: Pacs, store: DicomWebStore, dicom_film: Path, points: np.ndarray, tmp_path: Path
) -> None:
    (name,) = store.list_images()
    write_markups(tmp_path / "label.json", as_markups(points, placement_of(dicom_film), millimetres=True))
    pacs.fails_after_store = True
    assert store.save_label(name, str(tmp_path / "label.json"), "final", {}) == name
    assert [report.SeriesInstanceUID for report in pacs.reports] == [review_series_uid(name)]
    # the list from before the store is not used any more
    with pytest.raises(CephError, match=r"^PACS: HTTP 503$"):
        store.labelled()
    pacs.fails_after_store = False
    assert store.labelled() == {name}
    np.testing.assert_allclose(store.points(name), points, atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
@pytest.mark.parametrize("response", [None, {"ReferencedSOPInstanceUID": "1.2.3.4"}], ids=["nothing", "another object"])
def test_a_label_whose_answer_does_not_tell_is_saved_if_the_pacs_has_it(
    pacs: Pacs,
    store: DicomWebStore,
    dicom_film: Path,
    points: np.ndarray,
    tmp_path: Path,
    response: dict[str, str] | None,
    kept: bool,
) -> None:
    pacs.store_response, pacs.keeps = response, kept
    (name,) = store.list_images()
    write_markups(tmp_path / "label.json", as_markups(points, placement_of(dicom_film), millimetres=True))
    if kept:
        store.save_label(name, str(tmp_path / "label.json"), "final", {})
        np.testing.assert_allclose(store.points(name), points, atol=1e-3, equal_nan=True)
        return
    cause = f"^the PACS did not store the report of {name}: the answer does not say that the object is stored, and "
    with pytest.raises(CephError, match=cause + "QIDO-RS does not find it$"):
        store.save_label(name, str(tmp_path / "label.json"), "final", {})
    assert list((tmp_path / "cache" / "labels").rglob("*.json")) == []


def test_a_report_has_the_patients_current_name(
    pacs: Pacs, store: DicomWebStore, points: np.ndarray, tmp_path: Path
) -> None:
    (name,) = store.list_images()
    write_markups(tmp_path / "label.json", as_markups(points, placement_of(store.film(name)[1]), millimetres=True))
    pacs.films[0].PatientName, pacs.films[0].PatientID = "Corrected^Name", "4711"
    store.save_label(name, str(tmp_path / "label.json"), "final", {})
    (report,) = pacs.reports
    assert (str(report.PatientName), report.PatientID) == ("Corrected^Name", "4711")


def test_a_label_for_an_image_that_the_pacs_replaced_is_refused(
    pacs: Pacs, store: DicomWebStore, points: np.ndarray, tmp_path: Path
) -> None:
    (name,) = store.list_images()
    write_markups(tmp_path / "label.json", as_markups(points, placement_of(store.film(name)[1]), millimetres=True))
    pacs.films[0].SOPInstanceUID = pacs.films[0].file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    with pytest.raises(CephError, match=r"^the PACS now has another image for "):
        store.save_label(name, str(tmp_path / "label.json"), "final", {})
    assert pacs.reports == []
    # opened again, it is the new image
    assert dcmread(store.film(name)[1]).SOPInstanceUID == "1.2.3"


def test_only_the_series_of_a_new_film_is_searched(pacs: Pacs, store: DicomWebStore, dicom_film: Path) -> None:
    (old,) = store.list_images()
    pacs.films.append(another_film(dicom_film, SeriesInstanceUID="2.25.1", SOPInstanceUID="2.25.2"))
    pacs.searches.clear()
    assert store.canonical("2.25.1") == "2.25.1"
    for name in ("2.25.3", "2.25.*", "nothing"):
        with pytest.raises(NotThereError, match="the PACS has no film"):
            store.canonical(name)
    assert {filters["SeriesInstanceUID"] for filters in pacs.searches} == {"2.25.1", "2.25.3"}
    assert store.list_images() == [old, "2.25.1"]
