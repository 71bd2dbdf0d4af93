"""What happens while a PACS fails; tests/integration has a real one that works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread

from monai_ceph.errors import CephError
from monai_ceph.labelling.dicomweb_store import DicomWebStore
from monai_ceph.labelling.errors import NotThereError
from monai_ceph.labelling.markups import as_markups, write_markups
from monai_ceph.labelling.placement import placement_of
from monai_ceph.reports.reviewed_report import review_series_uid


class Busy(BaseHTTPRequestHandler):
    status = 503

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def busy() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [408, 429, 503, 504])
def test_a_busy_pacs_is_a_sentence(busy: str, tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Busy, "status", status)
    store = DicomWebStore(DICOMwebClient(busy), tmp_path / "cache")
    with pytest.raises(CephError, match=f"the PACS did not list its series: status {status}"):
        store.list_images()


class Pacs:
    """A DICOMweb client of a PACS with some films and what is stored there; it can stop to answer after a store."""

    base_url = "http://pacs.example/dicom-web"

    def __init__(self, film: Path) -> None:
        self.films = [dcmread(film)]
        self.asked: list[dict[str, str]] = []
        self.reports: list[Dataset] = []
        self.fails_after_store = False
        self.store_response: dict[str, str] | None = {}

    def set_http_retry_params(self, **options: Any) -> None:
        pass

    def search_for_series(self, search_filters: dict[str, str], **options: Any) -> list[dict[str, Any]]:
        if self.fails_after_store and self.reports:
            raise ConnectionError
        self.asked.append(search_filters)
        found = (*self.films, *self.reports[:1])
        wanted = search_filters.items()
        return [self.item(dataset) for dataset in found if all(dataset[key].value == value for key, value in wanted)]

    def search_for_instances(self, study: str, series: str, **options: Any) -> list[dict[str, Any]]:
        return [self.item(dataset) for dataset in (*self.films, *self.reports) if dataset.SeriesInstanceUID == series]

    def retrieve_instance(self, study: str, series: str, instance: str, **options: Any) -> Dataset:
        return next(dataset for dataset in (*self.films, *self.reports) if instance == dataset.SOPInstanceUID)

    def store_instances(self, documents: list[Dataset]) -> Dataset:
        answer = Dataset()
        if self.store_response is None:
            return answer
        self.reports += documents
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
            documents[0].SOPClassUID,
            documents[0].SOPInstanceUID,
        )
        for name, value in self.store_response.items():
            setattr(item, name, value)
        answer.ReferencedSOPSequence = [item]
        return answer

    @staticmethod
    def item(dataset: Dataset) -> dict[str, Any]:
        item = Dataset()
        for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(item, name, dataset[name].value)
        return item.to_json_dict()


def test_a_label_that_is_in_the_pacs_is_saved_whatever_fails_then(
    dicom_film: Path, points: np.ndarray, tmp_path: Path
) -> None:
    pacs = Pacs(dicom_film)
    store = DicomWebStore(pacs, tmp_path / "cache")
    (name,) = store.list_images()
    write_markups(tmp_path / "label.json", as_markups(points, placement_of(dicom_film), millimetres=True))
    pacs.fails_after_store = True
    assert store.save_label(name, str(tmp_path / "label.json"), "final", {}) == name
    assert [report.SeriesInstanceUID for report in pacs.reports] == [review_series_uid(name)]
    # the list that was made before the store does not count any more
    with pytest.raises(CephError, match="did not list its series"):
        store.labelled()
    pacs.fails_after_store = False
    assert store.labelled() == {name}
    np.testing.assert_allclose(store.points(name), points, atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("response", [None, {"ReferencedSOPInstanceUID": "1.2.3.4"}], ids=["nothing", "another object"])
def test_a_label_that_the_pacs_does_not_name_as_stored_is_not_saved(
    dicom_film: Path, points: np.ndarray, tmp_path: Path, response: dict[str, str] | None
) -> None:
    pacs = Pacs(dicom_film)
    pacs.store_response = response
    store = DicomWebStore(pacs, tmp_path / "cache")
    (name,) = store.list_images()
    write_markups(tmp_path / "label.json", as_markups(points, placement_of(dicom_film), millimetres=True))
    cause = f"^the PACS did not store the report of {name}: the answer does not say that the object is stored$"
    with pytest.raises(CephError, match=cause):
        store.save_label(name, str(tmp_path / "label.json"), "final", {})
    assert list((tmp_path / "cache" / "labels").rglob("*.json")) == []


def test_a_report_has_what_the_pacs_says_of_the_patient_now(
    dicom_film: Path, points: np.ndarray, tmp_path: Path
) -> None:
    pacs = Pacs(dicom_film)
    store = DicomWebStore(pacs, tmp_path / "cache")
    (name,) = store.list_images()
    write_markups(tmp_path / "label.json", as_markups(points, placement_of(store.film(name)[1]), millimetres=True))
    pacs.films[0].PatientName, pacs.films[0].PatientID = "Corrected^Name", "4711"
    store.save_label(name, str(tmp_path / "label.json"), "final", {})
    (report,) = pacs.reports
    assert (str(report.PatientName), report.PatientID) == ("Corrected^Name", "4711")


def test_a_label_of_an_image_that_the_pacs_replaced_is_refused(
    dicom_film: Path, points: np.ndarray, tmp_path: Path
) -> None:
    pacs = Pacs(dicom_film)
    store = DicomWebStore(pacs, tmp_path / "cache")
    (name,) = store.list_images()
    write_markups(tmp_path / "label.json", as_markups(points, placement_of(store.film(name)[1]), millimetres=True))
    pacs.films[0].SOPInstanceUID = "1.2.3"
    with pytest.raises(CephError, match=r"has another image for .* now: open it anew"):
        store.save_label(name, str(tmp_path / "label.json"), "final", {})
    assert pacs.reports == []
    # what is opened anew is the new one
    assert dcmread(store.film(name)[1]).SOPInstanceUID == "1.2.3"


def test_a_film_that_is_newer_than_the_list_is_looked_up_alone(dicom_film: Path, tmp_path: Path) -> None:
    pacs = Pacs(dicom_film)
    store = DicomWebStore(pacs, tmp_path / "cache")
    (old,) = store.list_images()
    new = dcmread(dicom_film)
    new.SeriesInstanceUID, new.SOPInstanceUID = "2.25.1", "2.25.2"
    pacs.films.append(new)
    pacs.asked.clear()
    assert store.canonical("2.25.1") == "2.25.1"
    for name in ("2.25.3", "2.25.*", "nothing"):
        with pytest.raises(NotThereError, match="the PACS has no film"):
            store.canonical(name)
    assert {filters["SeriesInstanceUID"] for filters in pacs.asked} == {"2.25.1", "2.25.3"}
    assert store.list_images() == [old, "2.25.1"]
