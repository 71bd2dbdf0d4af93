"""The real MONAI Label server, with authentication, on the real Orthanc; MONAI Label's own client drives it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

pytest.importorskip("monailabel", reason="MONAI Label is not installed (make label)")

import requests
from dicomweb_client import DICOMwebClient
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException
from pydicom.uid import RLELossless, generate_uid
from realm import PASSWORD, WRONG, realm
from servers import call, label_server, orthanc, orthanc_is_there, store_in_orthanc, wait_until

from monai_ceph.archives.config import DicomWebService
from monai_ceph.labelling.dicomweb_store import DicomWebStore
from monai_ceph.labelling.markups import read_label_json
from monai_ceph.readers.placement import placement_of

pytestmark = pytest.mark.skipif(
    not orthanc_is_there(), reason="Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)"
)

MODEL = "cephalometric"
CR = "1.2.840.10008.5.1.4.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
VISIBLE_SECONDS = 60
VIEWER = "http://viewer.example:3000"


def variant(film: Path, target: Path, *, compressed: bool = False, **changes: Any) -> Path:
    """Return a copy of a film with new UIDs, unless they are among the changes."""
    dataset = pydicom.dcmread(film)
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, name, generate_uid(entropy_srcs=[target.name, name]))
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if compressed:
        dataset.compress(RLELossless)
    dataset.save_as(target)
    return target


def service(url: str) -> DicomWebService:
    return DicomWebService.model_validate({"name": "PACS", "url": url})


def series_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pacs")


@pytest.fixture(scope="module")
def films(place: Path, dicom: Path) -> dict[str, Path]:
    """A DX film, a CR film, two DX films in one series, and a CT image."""
    films = {"dx": dicom, "cr": variant(dicom, place / "cr.dcm", compressed=True, Modality="CR", SOPClassUID=CR)}
    pair = {"StudyInstanceUID": "2.25.71", "SeriesInstanceUID": "2.25.72"}
    for number in ("1", "2"):
        films[f"pair{number}"] = variant(dicom, place / f"p{number}.dcm", SOPInstanceUID=f"2.25.73{number}", **pair)
    films["ct"] = variant(dicom, place / "ct.dcm", Modality="CT", SOPClassUID=CT)
    return films


@pytest.fixture(scope="module")
def pacs(place: Path, films: dict[str, Path]) -> Iterator[str]:
    with orthanc(place) as url:
        for film in films.values():
            store_in_orthanc(url, film)
        yield url


@pytest.fixture(scope="module")
def url(pacs: str, place: Path) -> Iterator[str]:
    # no address beyond this machine answers, as in a hospital
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    with (
        realm() as identity,
        label_server(
            f"{pacs}/dicom-web",
            place,
            *("--allow-origin", VIEWER),
            **nowhere,
            no_proxy="127.0.0.1",
            MONAI_LABEL_AUTH_ENABLE="true",
            MONAI_LABEL_AUTH_REALM_URI=identity,
        ) as url,
    ):
        yield url


def signed_in(url: str, user: str, folder: Path) -> MONAILabelClient:
    folder.mkdir(exist_ok=True)
    client = MONAILabelClient(url, tmpdir=str(folder))
    client.update_auth(client.auth_token(user, PASSWORD))
    return client


@pytest.fixture(scope="module")
def client(url: str, place: Path) -> MONAILabelClient:
    return signed_in(url, "jane", place / "client")


Infer = Callable[[str], tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def infer(client: MONAILabelClient) -> Infer:
    """Detect with default options, once per film; return the file and the params that the client got."""
    return cache(lambda film: client.infer(MODEL, film, {}))


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(MONAILabelClientException) as caught:
        call(*arguments)
    return str(caught.value.msg)


class TestAuthentication:
    def test_without_a_token_everything_is_refused(self, url: str) -> None:
        client = MONAILabelClient(url)
        assert client.auth_enabled()
        for ask in ((client.info,), (client.datastore,), (client.infer, MODEL, "x", {})):
            assert refusal(*ask).startswith("Status: 401")

    def test_an_unsigned_token_is_refused(self, url: str) -> None:
        client = MONAILabelClient(url)
        client.update_auth({"token_type": "Bearer", "access_token": "eyJhbGciOiJub25lIn0.e30."})
        assert refusal(client.info).startswith("Status: 401")

    @pytest.mark.parametrize("user", WRONG)
    def test_a_token_that_was_not_made_for_this_server(self, url: str, place: Path, user: str) -> None:
        assert refusal(signed_in(url, user, place / user).info).startswith("Status: 401")

    def test_roles(self, url: str, client: MONAILabelClient, place: Path, films: dict[str, Path]) -> None:
        assert client.auth_valid_token()
        guest = signed_in(url, "guest", place / "guest")
        assert guest.info()["datastore"]["total"] > 0
        assert refusal(guest.save_label, series_of(films["dx"]), __file__, "final").startswith("Status: 403")
        assert refusal(client.train_start, MODEL, {}).startswith("Status: 403")

    def test_only_the_allowed_viewer_gets_a_cors_header(self, url: str, client: MONAILabelClient) -> None:
        token = client._headers["Authorization"]
        for origin, allowed in ((VIEWER, VIEWER), ("http://elsewhere.example", None)):
            status, _, headers = call(url, "GET", "/info/", Origin=origin, Authorization=token)
            assert (status, headers.get("access-control-allow-origin")) == (200, allowed)

    def test_the_proxy_reads_only_studies(
        self, url: str, client: MONAILabelClient, pacs: str, films: dict[str, Path]
    ) -> None:
        token = client._headers["Authorization"]
        study = pydicom.dcmread(films["dx"], stop_before_pixels=True).StudyInstanceUID
        # the PACS compresses its answer, and the proxy passes it on unchanged
        series = f"{url}/proxy/dicom/qido/studies/{study}/series"
        answer = requests.get(series, headers={"Authorization": token}, timeout=60)
        assert (answer.status_code, series_of(films["dx"]) in answer.text) == (200, True)
        for path in ("..%2fsystem", "studies%2f..%2f..%2fsystem", "studies/%252e%252e/%252e%252e/system"):
            status, text, _ = call(url, "GET", f"/proxy/dicom/{path}", Authorization=token)
            assert (status, "DicomAet" in text) == (403, False)
        before = call(pacs, "GET", "/series")[1]
        doomed = {"Resources": json.loads(before)}
        assert call(url, "POST", "/proxy/dicom/..%2ftools%2fbulk-delete", doomed, Authorization=token)[0] == 403
        assert call(pacs, "GET", "/series")[1] == before

    def test_ohif_is_served(self, url: str, client: MONAILabelClient) -> None:
        status, text, _ = call(url, "GET", "/ohif/", Authorization=client._headers["Authorization"])
        assert (status, "<html" in text.lower()) == (200, True)


class TestFilms:
    def test_only_dx_and_cr_are_listed(self, client: MONAILabelClient, films: dict[str, Path]) -> None:
        expected = {series_of(films["dx"]), series_of(films["cr"]), "2.25.72/2.25.731", "2.25.72/2.25.732"}
        assert set(client.datastore()["objects"]) == expected

    @pytest.mark.parametrize("kind", ["dx", "cr"])
    def test_infer_by_series(self, infer: Infer, films: dict[str, Path], place: Path, kind: str) -> None:
        _, params = infer(series_of(films[kind]))
        header = pydicom.dcmread(films[kind], stop_before_pixels=True)
        assert params["image_uid"] == header.SOPInstanceUID
        assert params["file"] == header.SeriesInstanceUID
        assert len([mark for mark in params["landmarks"] if mark["x"] is not None]) > 15
        # fetched as it is stored
        copy = pydicom.dcmread(place / "app" / "pacs" / "films" / f"{header.SeriesInstanceUID}.dcm")
        assert copy.file_meta.TransferSyntaxUID == header.file_meta.TransferSyntaxUID

    def test_a_series_with_two_images_names_them(self, client: MONAILabelClient) -> None:
        message = refusal(client.infer, MODEL, "2.25.72", {})
        assert message.startswith("Status: 404")
        assert "2.25.72/2.25.731, 2.25.72/2.25.732" in message
        _, params = client.infer(MODEL, "2.25.72/2.25.732", {})
        assert params["image_uid"] == "2.25.732"

    def test_a_film_that_is_not_in_the_pacs_is_404(self, client: MONAILabelClient, films: dict[str, Path]) -> None:
        for name in ("2.25.1", series_of(films["ct"]), "../../etc/passwd"):
            assert refusal(client.infer, MODEL, name, {}).startswith("Status: 404")

    def test_a_new_film_is_visible_within_a_minute(
        self, client: MONAILabelClient, pacs: str, dicom: Path, tmp_path: Path
    ) -> None:
        film = variant(dicom, tmp_path / "new.dcm")
        total = client.info()["datastore"]["total"]
        store_in_orthanc(pacs, film)
        wait_until(lambda: client.info()["datastore"]["total"] == total + 1, VISIBLE_SECONDS, "the new film is listed")
        assert series_of(film) in client.datastore()["objects"]


class TestLabels:
    def test_a_correction_becomes_an_sr_in_the_pacs_and_is_found_again(
        self, client: MONAILabelClient, infer: Infer, pacs: str, films: dict[str, Path], tmp_path: Path
    ) -> None:
        series = series_of(films["cr"])
        file, params = infer(series)
        content = json.loads(Path(file).read_text())
        for shift in (1.0, 2.0):
            content["markups"][0]["controlPoints"][0]["position"][0] += shift
            (tmp_path / "corrected.json").write_text(json.dumps(content))
            client.save_label(series, str(tmp_path / "corrected.json"), "final", {"observer": "Somebody^Else"})
        assert client.info()["datastore"]["completed"] == 1
        assert client.datastore()["objects"][series]["labels"].keys() == {"final"}

        reports = self.reports(pacs)
        assert [report.SOPClassUID for report in reports] == ["1.2.840.10008.5.1.4.1.1.88.33"] * 2
        for report in reports:
            assert report.VerificationFlag == "UNVERIFIED"
            assert report.PatientID == pydicom.dcmread(films["cr"], stop_before_pixels=True).PatientID
            observers = [str(item.PersonName) for item in report.ContentSequence if item.get("ValueType") == "PNAME"]
            # the observer is the user of the token, not the one that the client names
            assert observers == ["Doe^Jane"]
            assert "lgorithm" not in str(report)

        # the newest review counts, also for a server that has never seen the film
        placement = placement_of(films["cr"])
        expected = np.array([(mark["y"], mark["x"]) for mark in params["landmarks"]], dtype=float)
        expected[0, 1] += 3.0 / placement.spacing[1]
        here = read_label_json(Path(client.download_label(series, "final")), placement)
        elsewhere = DicomWebStore(service(f"{pacs}/dicom-web"), tmp_path / "other")
        assert elsewhere.get_labeled_images() == [series]
        for points in (here, elsewhere.points(series)):
            np.testing.assert_allclose(points, expected, atol=1e-3, equal_nan=True)

    def test_a_label_belongs_to_one_image_of_the_series(
        self, client: MONAILabelClient, pacs: str, tmp_path: Path
    ) -> None:
        file, _ = client.infer(MODEL, "2.25.72/2.25.731", {})
        client.save_label("2.25.72/2.25.731", file, "final")
        elsewhere = DicomWebStore(service(f"{pacs}/dicom-web"), tmp_path / "other")
        assert "2.25.72/2.25.731" in elsewhere.get_labeled_images()
        assert "2.25.72/2.25.732" in elsewhere.get_unlabeled_images()

    def test_a_label_with_another_tag_is_not_sent_to_the_pacs(
        self, client: MONAILabelClient, infer: Infer, pacs: str, films: dict[str, Path]
    ) -> None:
        before = len(self.reports(pacs))
        file, _ = infer(series_of(films["dx"]))
        client.save_label(series_of(films["dx"]), file, "draft")
        assert len(self.reports(pacs)) == before
        assert Path(client.download_label(series_of(films["dx"]), "draft")).is_file()

    def test_a_label_outside_the_film_is_refused_and_nothing_is_stored(
        self, client: MONAILabelClient, pacs: str, films: dict[str, Path], tmp_path: Path
    ) -> None:
        before = len(self.reports(pacs))
        marks = [{"label": "S", "position": [-3.0, 5.0, 0.0]}]
        (tmp_path / "label.json").write_text(json.dumps({"markups": [{"controlPoints": marks}]}))
        message = refusal(client.save_label, series_of(films["dx"]), str(tmp_path / "label.json"), "final")
        assert "Status: 422" in message
        assert "Sella lies outside the film" in message
        assert len(self.reports(pacs)) == before

    @staticmethod
    def reports(pacs: str) -> list[pydicom.Dataset]:
        client = DICOMwebClient(f"{pacs}/dicom-web")
        found = [
            pydicom.Dataset.from_json(item) for item in client.search_for_instances(search_filters={"Modality": "SR"})
        ]
        return [
            client.retrieve_instance(item.StudyInstanceUID, item.SeriesInstanceUID, item.SOPInstanceUID)
            for item in found
        ]


def test_the_error_about_a_pacs_that_is_down_is_readable(tmp_path: Path) -> None:
    from servers import free_port

    from monai_ceph.errors import CephError

    store = DicomWebStore(service(f"http://127.0.0.1:{free_port()}/dicom-web"), tmp_path / "cache")
    with pytest.raises(CephError, match=r"^PACS: no answer \(ConnectionError\)$"):
        store.list_images()
