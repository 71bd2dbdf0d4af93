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
    """A DICOMweb client of a PACS with one film and what is stored there; it can stop to answer after a store."""

    base_url = "http://pacs.example/dicom-web"

    def __init__(self, film: Path) -> None:
        self.film = dcmread(film)
        self.reports: list[Dataset] = []
        self.fails_after_store = False

    def set_http_retry_params(self, **options: Any) -> None:
        pass

    def search_for_series(self, search_filters: dict[str, str], **options: Any) -> list[dict[str, Any]]:
        if self.fails_after_store and self.reports:
            raise ConnectionError
        found = [self.film] if search_filters["Modality"] == self.film.Modality else []
        found += self.reports[:1] if search_filters["Modality"] == "SR" else []
        return [self.item(dataset) for dataset in found]

    def search_for_instances(self, study: str, series: str, **options: Any) -> list[dict[str, Any]]:
        return [self.item(dataset) for dataset in (self.film, *self.reports) if dataset.SeriesInstanceUID == series]

    def retrieve_instance(self, study: str, series: str, instance: str, **options: Any) -> Dataset:
        return next(dataset for dataset in (self.film, *self.reports) if instance == dataset.SOPInstanceUID)

    def store_instances(self, documents: list[Dataset]) -> Dataset:
        self.reports += documents
        return Dataset()

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
