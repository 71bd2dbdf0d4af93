"""URLs of archives: which are understood, and which are refused before any request."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")

from monai_ceph.archives.fhir import FhirSender
from monai_ceph.archives.query import Query
from monai_ceph.archives.targets import DicomSender, DicomWebSender
from monai_ceph.archives.urls import place_of, senders_of
from monai_ceph.errors import CephError

UID = st.from_regex(r"[0-2](\.[1-9][0-9]{0,8}){1,5}", fullmatch=True)
PATIENT = st.text(st.characters(codec="utf-8", exclude_characters="*?\\", exclude_categories=["Cc"]), min_size=1)


@pytest.mark.parametrize(
    ("url", "service", "query"),
    [
        ("dicomweb://pacs/dicom-web", "https://pacs/dicom-web", Query()),
        ("dicomweb+http://127.0.0.1:8042/dicom-web/", "http://127.0.0.1:8042/dicom-web", Query()),
        ("dicomweb://pacs", "https://pacs", Query()),
        ("dicomweb://[::1]:8042/a/b?Modality=DX", "https://[::1]:8042/a/b", Query(modality="DX")),
        ("dicomweb://pacs/rs?StudyDate=20260101-&PatientID=a%2Fb", "https://pacs/rs", Query(None, "a/b", "20260101-")),
        ("dicomweb://pacs/rs/studies/1.2?StudyInstanceUID=1.2", "https://pacs/rs", Query("1.2")),
    ],
)
def test_the_parts_of_a_url_are_recognised(url: str, service: str, query: Query) -> None:
    place = place_of(url)
    assert (place.service.url, place.query, place.series, place.image) == (service, query, None, None)


@given(study=UID, series=UID, image=UID, patient=PATIENT)
def test_the_levels_of_dicomweb(study: str, series: str, image: str, patient: str) -> None:
    """PS3.18 table 10.1-1: studies, series and instances in the path; conditions in any order and any characters."""
    place = place_of(
        f"dicomweb://h/rs/studies/{study}/series/{series}/instances/{image}?{urlencode({'PatientID': patient})}"
    )
    assert (place.service.url, place.query) == ("https://h/rs", Query(study, patient))
    assert (place.series, place.image) == (series, image)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://pacs/rs", "Such URLs begin with dicomweb://, dicomweb+http://"),
        ("dicomweb://", "not the URL of an archive"),
        ("dicomweb://pacs:99999/rs", "not the URL of an archive"),
        ("dicomweb://user:secret@pacs/rs", "a URL must not contain a user or password"),
        ("dicomweb://pacs/rs?PatientName=DOE", "PatientName is not a condition. Use StudyInstanceUID, PatientID"),
        ("dicomweb://pacs/rs?PatientID=D*", "must be one ID"),
        ("dicomweb://pacs/rs?StudyDate=today", "today is not a date"),
        ("dicomweb://pacs/rs/studies/1.2?StudyInstanceUID=1.3", "names two studies"),
    ],
)
def test_invalid_source_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(CephError) as error:
        place_of(url)
    assert message in str(error.value)
    assert "secret" not in str(error.value)
    assert "DOE" not in str(error.value)


def test_target_urls_become_senders() -> None:
    senders = senders_of(["dicom://PACS%20A@host:104?calling=ME", "dicomweb://pacs/rs"])
    dimse, web = senders["dicom://PACS%20A@host:104?calling=ME"], senders["dicomweb://pacs/rs"]
    assert isinstance(dimse, DicomSender)
    config = dimse._config
    assert (config.ae_title, config.host, config.port, config.calling_ae_title) == ("PACS A", "host", 104, "ME")
    assert isinstance(web, DicomWebSender)
    assert web._config.url == "https://pacs/rs"


def test_objects_of_targets() -> None:
    urls = ["dicom://PACS@host:104", "dicomweb://pacs/rs"]
    assert {sender.objects for sender in senders_of(urls).values()} == {("gsps", "sr")}
    assert {sender.objects for sender in senders_of(urls, {"sr", "sc"}).values()} == {("sc", "sr")}


def test_fhir_servers_get_bundles() -> None:
    urls = {"fhir://records/fhir/": "https://records/fhir", "fhir+http://h:8080/r4": "http://h:8080/r4"}
    for url, base in urls.items():
        (sender,) = senders_of([url], {"sr", "pdf"}).values()
        assert isinstance(sender, FhirSender)
        assert (sender.objects, sender._config.url) == (("fhir",), base)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("fhir://records/fhir?identifier=1", "the base of a FHIR server"),
        ("fhir://me:secret@records/fhir", "must not contain a user or password"),
        ("dicom://host:104", "not an application entity"),
        ("dicom://PACS@host", "not an application entity"),
        ("dicom://PACS@host:104/folder", "not an application entity"),
        ("dicom://PACS@host:104?called=X", "not an application entity"),
        ("dicom://SEVENTEEN-LETTERS@host:104", "1 to 16 characters"),
        ("dicomweb://pacs/rs?StudyDate=20260101", "a whole service"),
        ("dicomweb://pacs/rs/studies/1.2", "a whole service"),
        ("s3://bucket", "Such URLs begin with dicomweb://, dicomweb+http://, dicom://"),
    ],
)
def test_invalid_target_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(CephError, match=message.replace("+", r"\+")):
        senders_of([url])


def test_sources_and_targets_have_different_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token for the archive with the films is never sent to the archive that gets the results."""
    monkeypatch.setenv("MONAI_CEPH_FROM_TOKEN", "one")
    monkeypatch.delenv("MONAI_CEPH_TO_TOKEN", raising=False)
    token = place_of("dicomweb://a/rs").service.token
    assert token is not None
    assert token.get_secret_value() == "one"
    web = senders_of(["dicomweb://b/rs"])["dicomweb://b/rs"]
    assert isinstance(web, DicomWebSender)
    assert web._config.token is None
