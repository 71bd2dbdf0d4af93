"""``monai-ceph detect --from ARCHIVE --to ARCHIVE`` with a real Orthanc as both archives."""

from __future__ import annotations

import base64
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from fakes import FakeDetector
from nodes import DICOM_WEB, ORTHANC, SR, Orthanc, film, free_port, orthanc
from typer.testing import CliRunner

from monai_ceph.archives.urls import senders_of
from monai_ceph.batch import Options, Summary, detect_films
from monai_ceph.cli import app
from monai_ceph.errors import CephError
from monai_ceph.work.remote import iter_films

CEPH = {"PatientID": "P1", "StudyDate": "20260105", "SeriesDescription": "Ceph lateral"}
needs_orthanc = pytest.mark.skipif(
    ORTHANC is None or not DICOM_WEB.exists(),
    reason="Orthanc with DICOMweb is not installed (apt-get install orthanc orthanc-dicomweb)",
)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path / "orthanc", free_port()) as archive:
        yield archive


def url(archive: Orthanc, rest: str = "") -> str:
    return archive.url.replace("http://", "dicomweb+http://") + rest


def run(source: str, out: Path, *targets: str, workers: int = 1) -> Summary:
    # write SR and GSPS only if they are sent: an SR takes as long as ten other files
    formats = {"csv", "json", "sr", "gsps"} if targets else {"csv", "json"}
    options = Options(formats=frozenset(formats), workers=workers)
    return detect_films([Path(source)], out, FakeDetector, options, senders=senders_of(list(targets)))


@needs_orthanc
def test_possible_cephalograms_are_fetched(tmp_path: Path, archive: Orthanc) -> None:
    datasets = [
        film(1, **CEPH),
        film(2, **{**CEPH, "PatientID": "P2", "StudyDate": "20260207"}),
        film(3, **{**CEPH, "SeriesDescription": "OPG"}),
        film(4, **CEPH, Modality="CT"),
        film(5, **CEPH, Modality="SR", SOPClassUID=SR),
    ]
    for dataset in datasets:
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        archive.post("/instances", buffer.getvalue())
    to = (url(archive), f"dicom://ORTHANC@127.0.0.1:{archive.port}")

    def names(out: str) -> list[str]:
        return sorted(path.stem for path in (tmp_path / out / "json").iterdir())

    for number, (rest, found) in enumerate(
        [
            ("?StudyDate=20260101-20260131", ["1.2.3.1.3"]),
            ("?PatientID=P2&Modality=DX", ["1.2.3.2.3"]),
            ("/studies/1.2.3.2.1", ["1.2.3.2.3"]),
            ("/studies/1.2.3.1.1/series/1.2.3.1.2", ["1.2.3.1.3"]),
            ("/studies/1.2.3.1.1/series/1.2.3.1.2/instances/1.2.3.1.3", ["1.2.3.1.3"]),
        ]
    ):
        assert run(url(archive, rest), tmp_path / str(number)).states == {"done": 1}
        assert names(str(number)) == found
    everything = url(archive, "?StudyDate=20260101-20261231")
    summary = run(everything, tmp_path / "out", *to, workers=2)
    assert summary.states == {"done": 2}
    assert names("out") == ["1.2.3.1.3", "1.2.3.2.3"]
    assert summary.sending is not None
    assert (summary.sending.sent, summary.not_sent) == (8, [])
    # both targets got the same objects: each is there once, in the study of its film
    held = archive.instances()
    assert len(held["PR"]) == 2
    assert len(held["SR"]) == 3  # one was there before
    assert len(archive.get("/studies")) == 5
    again = run(everything, tmp_path / "out", *to)
    assert (again.films, again.before) == (2, 2)
    assert again.sending is not None
    assert (again.sending.sent, again.sending.before) == (0, 8)
    with sqlite3.connect(tmp_path / "out" / "run.sqlite") as ledger:
        assert [name for (name,) in ledger.execute("SELECT name FROM films ORDER BY name")] == names("out")
    ledger.close()


@needs_orthanc
def test_the_command_detects_and_sends_results_back(tmp_path: Path, archive: Orthanc, dicom: Path) -> None:
    """The command of docs/how-to/archive.md, on a phantom."""
    study = archive.post("/instances", dicom.read_bytes())["ParentStudy"]
    place = url(archive)
    command = ["detect", "--from", f"{place}?StudyDate=19000101-", "--to", place, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "2 sent, 0 sent before, 0 not sent" in done.output
    series = [archive.get(f"/series/{each}")["MainDicomTags"] for each in archive.get(f"/studies/{study}")["Series"]]
    assert sorted(each["Modality"] for each in series) == ["DX", "PR", "SR"]


@needs_orthanc
def test_an_image_that_the_archive_lost_fails(tmp_path: Path, archive: Orthanc) -> None:
    """Its cause is the archive's answer, and the run continues."""
    for number in (1, 2):
        buffer = BytesIO()
        film(number, **CEPH).save_as(buffer, enforce_file_format=True)
        archive.post("/instances", buffer.getvalue())
    source = url(archive, "?StudyDate=20260105")
    assert len(list(iter_films(Path(source)))) == 2
    # Orthanc also keeps the image that it read last in memory
    archive.kill()
    for stored in (tmp_path / "orthanc" / "storage").rglob("*"):
        if stored.is_file() and b"1.2.3.1.3" in stored.read_bytes() and not stored.name.startswith("index"):
            stored.unlink()
    archive.start()
    # the answer to the query was kept
    summary = run(source, tmp_path / "out")
    assert summary.states == {"done": 1, "failed": 1}
    assert "cannot be fetched: 127.0.0.1" in (tmp_path / "out" / "errors.csv").read_text()


class _NeedsLogin(BaseHTTPRequestHandler):
    """An empty archive that answers only requests with the right login."""

    wanted = "Basic " + base64.b64encode(b"ceph:secret").decode()

    def do_GET(self) -> None:
        self.send_response(200 if self.headers.get("Authorization") == self.wanted else 401)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def guarded() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _NeedsLogin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"dicomweb+http://127.0.0.1:{server.server_address[1]}/rs?StudyDate=20260101"
    server.shutdown()
    server.server_close()


def test_the_password_in_netrc_is_used(guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CephError, match="HTTP 401"):
        run(guarded, tmp_path / "out")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ceph password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.raises(CephError, match="no film in"):
        run(guarded, tmp_path / "out")


def test_the_token_in_the_environment_is_used(guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_NeedsLogin, "wanted", "Bearer abc")
    monkeypatch.setenv("MONAI_CEPH_FROM_TOKEN", "abc")
    with pytest.raises(CephError, match="no film in"):
        run(guarded, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to do: name films, folders, or an archive with --from"),
        (("--from", "dicomweb://127.0.0.1:9/rs"), "the URL has no condition"),
        (("--from", "dicomweb+http://127.0.0.1:9/rs?StudyDate=20260101"), "127.0.0.1:9: no answer"),
        (("--from", "dicom://PACS@127.0.0.1:104"), "For C-MOVE a node must run"),
        (("--from", "s3://bucket"), "not the URL of an archive"),
        (("films", "--to", "127.0.0.1:104"), "not the URL of an archive"),
        (("films", "--to", "dicomweb://h/rs", "--deidentify"), "--deidentify and --to cannot be used together"),
    ],
)
def test_invalid_options_are_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, ["detect", *options, "--out", str(tmp_path / "out"), "--device", "cpu"])
    assert done.exit_code == 2
    assert message in done.output
